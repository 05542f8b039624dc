"""Snakemake's terminal output: which records are printed, and how."""

import logging
from types import SimpleNamespace

import pytest
from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_jobs import LogHandler
from tests.helpers import assert_names


@pytest.fixture
def handler():
    settings = SimpleNamespace(dryrun=False, verbose=False, printshellcmds=False, stdout=True)
    return LogHandler(settings, None)


def emit(handler, message="", level=logging.INFO, **attributes) -> None:
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    record.__dict__.update(attributes)
    handler.emit(record)


def start(handler, log, jobid=1) -> None:
    emit(
        handler,
        event=LogEvent.JOB_INFO,
        jobid=jobid,
        rule_name="train",
        rule_msg=f"Training run-{jobid}",
        wildcards={"run": f"run-{jobid}"},
        log=[str(log)],
    )


def fail(handler, log, jobid=1) -> None:
    emit(
        handler, "the shell command", logging.ERROR, event=LogEvent.JOB_ERROR, jobid=jobid, rule_name="train", log=[log]
    )


def test_a_finished_job_is_one_line_with_its_number_its_name_and_the_end_of_its_log(handler, tmp_path, capsys):
    log = tmp_path / "run.log"
    emit(handler, event=LogEvent.RUN_INFO, stats={"train": 11, "all": 1, "total": 12})
    start(handler, log)
    log.write_text("a warning\n10 %\r100 %\r\nrun-1: 3 steps, 30.1 dB\n\n", encoding="utf-8")
    emit(handler, event=LogEvent.JOB_FINISHED, job_id=1)
    assert capsys.readouterr().out.splitlines() == [
        "12 jobs: 11 train",
        "[ 1/12] Training run-1, 0 s: 3 steps, 30.1 dB",
    ]


def test_a_job_without_a_message_is_named_by_its_rule_and_wildcards(handler, tmp_path, capsys):
    wildcards = {"run": "a", "seed": "0"}
    emit(handler, event=LogEvent.JOB_INFO, jobid=1, rule_name="score", rule_msg=None, wildcards=wildcards, log=["none"])
    emit(handler, event=LogEvent.JOB_FINISHED, job_id=1)
    assert capsys.readouterr().out == "[1/0] score a 0, 0 s\n"


def test_a_job_without_a_log_is_counted_but_not_printed(handler, capsys):
    emit(handler, event=LogEvent.JOB_INFO, jobid=1, rule_name="all", rule_msg=None, wildcards={}, log=[])
    emit(handler, event=LogEvent.JOB_FINISHED, job_id=1)
    assert capsys.readouterr().out == ""
    assert handler.ended == 1


def test_the_cause_of_a_failure_is_printed_last_and_once(handler, tmp_path, capsys):
    log = tmp_path / "run.log"
    start(handler, log)
    log.write_text("".join(f"line {number}\n" for number in range(100)) + "disk full\n", encoding="utf-8")
    fail(handler, str(log))
    emit(handler, "Shutting down", logging.WARNING)
    handler.close()
    handler.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["FAILED: Training run-1, 0 s: disk full", f"  log: {log}", "Shutting down"]
    assert_names(lines[4], "Training run-1")
    assert lines[-1].strip() == "disk full"
    assert "  line 98" in lines
    assert "  line 2" not in lines


def test_a_failure_is_forgotten_when_the_job_is_tried_again_and_ends_well(handler, tmp_path, capsys):
    log = tmp_path / "run.log"
    start(handler, log)
    fail(handler, str(log))
    start(handler, log, jobid=1)
    emit(handler, event=LogEvent.JOB_FINISHED, job_id=1)
    handler.close()
    assert capsys.readouterr().out.count("Training run-1") == 2, "failed and finished, and no cause at the end"


def test_a_failed_job_without_a_log_shows_what_snakemake_knows(handler, tmp_path, capsys):
    start(handler, tmp_path / "never-written.log")
    fail(handler, str(tmp_path / "never-written.log"))
    handler.close()
    assert "the shell command" in capsys.readouterr().out


@pytest.mark.parametrize(
    "end", ["died with <Signals.SIGKILL: 9>.", "returned non-zero exit status 137.", "returned non-zero exit status 1."]
)
def test_a_job_that_was_killed_is_said_to_be_and_snakemakes_own_words_are_not_repeated(end, handler, tmp_path, capsys):
    logs = [tmp_path / "killed.log", tmp_path / "other.log"]
    for jobid, log in enumerate(logs):
        start(handler, log, jobid)
    logs[0].write_text("step 3\n", encoding="utf-8")
    text = f"RuleException:\nCalledProcessError in file x, line 61:\nCommand 'python &> {logs[0]}' {end}"
    emit(handler, text, logging.ERROR, event=LogEvent.ERROR, exception="RuleException")
    for jobid in (1, 0):
        fail(handler, str(logs[jobid]), jobid)
    other, _, killed, _ = capsys.readouterr().out.splitlines()
    assert "SIGKILL" not in other
    assert ("SIGKILL" in killed) == ("status 1." not in end)
    handler.close()
    told = capsys.readouterr().out
    assert "step 3" in told
    assert ("SIGKILL" in told.splitlines()[-1]) == ("status 1." not in end)


def test_a_full_disk_is_named_though_the_log_could_not_be_written(handler, tmp_path, capsys, monkeypatch):
    log = tmp_path / "run.log"
    log.write_text("", encoding="utf-8")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    start(handler, log)
    fail(handler, str(log))
    handler.close()
    assert_names(capsys.readouterr().out.splitlines()[-1], log)


@pytest.mark.parametrize("message", ["Select jobs to execute...", "Execute 2 jobs...", "Building DAG of jobs..."])
def test_what_is_said_for_every_job_is_not_printed(handler, capsys, message):
    emit(handler, message)
    assert capsys.readouterr().out == ""


def test_a_message_that_is_not_known_is_printed(handler, capsys):
    emit(handler, "Nothing to be done (all requested files are present and up to date).")
    assert "Nothing to be done" in capsys.readouterr().out


def test_an_error_in_the_config_ends_with_its_cause(handler, capsys):
    text = 'WorkflowError in file "/x", line 31:\nfractions: 20: write 0.2\n  File "/x", line 31, in <module>\n'
    emit(handler, text, logging.ERROR, event=LogEvent.ERROR)
    assert capsys.readouterr().out.splitlines()[-1] == "fractions: 20: write 0.2"


@pytest.mark.parametrize("options", [["--configfile"], ["--dry-run", "--configfiles"]])
def test_a_config_that_is_no_yaml_is_named_with_the_line(tmp_path, capsys, monkeypatch, options):
    path = tmp_path / "bad.yaml"
    path.write_text("name: a\nmodels: [\n  {name: b\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["snakemake", "--cores", "1", *options, str(path), "--", "plan"])
    settings = SimpleNamespace(dryrun="--dry-run" in options, verbose=False, printshellcmds=False, stdout=True)
    # Snakemake's own words, so that a change of them fails here.
    with pytest.raises(WorkflowError) as caught:
        load_configfile(path)
    emit(LogHandler(settings, None), f"WorkflowError:\n{caught.value}", logging.ERROR, event=LogEvent.ERROR)
    printed = capsys.readouterr().out
    assert_names(printed, path, "line 4")
    assert "JSON" not in printed


def test_a_dry_run_is_shown_in_snakemakes_own_words(capsys):
    settings = SimpleNamespace(dryrun=True, verbose=False, printshellcmds=False, stdout=True)
    handler = LogHandler(settings, None)
    emit(handler, "rule train: ...", event=LogEvent.JOB_INFO)
    assert capsys.readouterr().out == "rule train: ...\n"
