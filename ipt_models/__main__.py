"""`python -m ipt_models list | share | convert`."""

import argparse
import sys
from pathlib import Path

from ipt_models.command_line import exit_status
from ipt_models.files import replacing
from ipt_models.tasks import parse_task
from ipt_models.variants import VARIANTS, build


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    return exit_status(lambda: options.run(options), (OSError, ValueError))


def list_variants(options: argparse.Namespace) -> None:
    """Print sizes, parameters and multiply-adds, computed from the networks' shapes alone."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    parse_task(options.task)
    lines = [f"one task, {options.task}; multiply-adds of convolutions and matrix products for one patch"]
    lines.append(
        f"{'variant':<12}{'parameters':>13}{'multiply-adds':>17}{'patch':>9}{'tokens':>9}{'depth':>8}{'heads':>7}"
    )
    for variant, sizes in VARIANTS.items():
        with torch.device("meta"), torch.no_grad():
            model = build(variant, (options.task,))
            side = model.patch_size
            with FlopCounterMode(display=False) as counter:
                model(torch.empty(1, 3, side, side))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        tokens = f"{(side // model.patch_dim) ** 2}x{sizes['num_feat'] * model.patch_dim**2}"
        macs = f"{counter.get_total_flops() / 2e9:.3f} G"
        depth = f"{sizes['depth']}+{sizes['depth']}"
        lines.append(
            f"{variant:<12}{parameters:>13,}{macs:>17}{f'{side}x{side}':>9}{tokens:>9}{depth:>8}{sizes['num_heads']:>7}"
        )
    print("\n".join([*lines, ""]), end="")  # one write, so that `… | head` ends without a traceback


def share(options: argparse.Namespace) -> None:
    """A checkpoint as a folder that Hugging Face's hub and `IPT.from_pretrained` take."""
    from ipt_models import weights_file
    from ipt_models.checkpoints import load

    variant = weights_file.read_header(options.checkpoint)["variant"]
    if variant not in VARIANTS:
        beside = f", with the file of {variant}" if ":" in variant else ""
        raise ValueError(
            f"{options.checkpoint} holds {variant}, and share is for IPT. Pass the file on as it is{beside}: its header says "
            "how to build the network"
        )
    run = options.checkpoint.parent
    provenance, scores = options.provenance or run / "provenance.json", options.scores or run / "metrics.csv"
    card = {"provenance": provenance} if options.provenance or provenance.is_file() else {}
    card |= {"scores": scores} if options.scores or scores.is_file() else {}
    if (options.folder / "README.md").exists():
        raise ValueError(f"{options.folder / 'README.md'} exists and would be kept; name a new folder")
    load(options.checkpoint).save_pretrained(options.folder, model_card_kwargs=card)
    print(f"{options.folder}: model.safetensors, config.json, README.md with {' and '.join(card) or 'no provenance'}")


def convert(options: argparse.Namespace) -> None:
    """The authors' checkpoint to ours, or ours (.safetensors) to theirs."""
    import torch

    from ipt_models.checkpoints import load, save
    from ipt_models.official import load_official, to_official

    source, target = options.source, options.target
    if source.suffix == ".safetensors":
        if target.suffix == ".safetensors":
            raise ValueError(f"{target}: the authors' code reads PyTorch files, name it .pt")
        model = load(source)
        state = {name: tensor.clone() for name, tensor in to_official(model).items()}
        with replacing(target) as temporary:
            torch.save(state, temporary)
        untold = f"--tasks {' '.join(model.tasks)} --num-heads {model.config['num_heads']} --position {model.position}"
        print(f"{target}: {len(state)} arrays with the authors' names; to convert it back, give {untold}")
        return
    if target.suffix != ".safetensors":
        raise ValueError(f"{target}: our checkpoints are safetensors files, name it .safetensors")
    heads, told = options.num_heads, "as given"
    if heads is None:
        heads, told = 12, "assumed; if it has another number, give --num-heads"
    model = load_official(source, options.tasks, options.position, heads, options.patch_size)
    save(model, target, {"model": source.stem})
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{target}: {', '.join(model.tasks)}; {parameters:,} parameters; {heads} attention heads, {told}")


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(prog="python -m ipt_models", description="The Image Processing Transformer.")
    commands = main_parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("list", help="variants, with their parameters and multiply-adds")
    command.add_argument("--task", default="sr2", help="count with this task's head and tail (default: sr2)")
    command.set_defaults(run=list_variants)

    command = commands.add_parser(
        "share",
        help="an IPT's checkpoint as a folder for Hugging Face's hub, with a model card",
        description="The model card is made from provenance.json and metrics.csv in the checkpoint's folder.",
    )
    command.add_argument("checkpoint", type=Path, help="the model.safetensors of an IPT's run")
    command.add_argument("folder", type=Path, help="a new folder")
    command.add_argument("--provenance", type=Path, help="(default: in the checkpoint's folder)")
    command.add_argument("--scores", type=Path, help="(default: metrics.csv in the checkpoint's folder)")
    command.set_defaults(run=share)

    command = commands.add_parser(
        "convert",
        help="the IPT authors' PyTorch checkpoint to safetensors, or back",
        description="Which way follows from the names: official.pt model.safetensors, or model.safetensors official.pt.",
    )
    command.add_argument("source", type=Path)
    command.add_argument("target", type=Path)
    command.add_argument("--tasks", nargs="+", help="in the order of the heads, where shapes cannot tell: sr2 dn30 …")
    command.add_argument("--position", choices=("none", "learned", "learned_every_layer"), help="(default: learned)")
    command.add_argument("--num-heads", type=int, metavar="N", help="shapes cannot tell them (default: 12)")
    command.add_argument("--patch-size", type=int, help="needed only without any embedding (default: 48)")
    command.set_defaults(run=convert)
    return main_parser


if __name__ == "__main__":
    sys.exit(main())
