"""moto's server, with some of its faults mended, RedriveExecution added, and rules that start state machines.

moto 5.2.5 hands the parameters of `states:startExecution` to boto3 as the definition spells them, with capital letters,
and reads boto3's answer as if it had some; boto3 has small ones on both sides (KeyError 'StateMachineArn'). And all
executions that were given no name have the same one there. Here letters are changed and names are made up on the way,
as Step Functions does it, so that the deployed definition runs as it is.

moto has no RedriveExecution. Here it is as Step Functions documents it: an execution that failed, timed out or was
stopped goes on in the state in which it ended, with the input that this state had, under its own ARN and definition;
its retries and its time begin anew, its history goes on. A Distributed Map is run anew, where Step Functions would
redrive only the children that did not succeed.

moto calls every execution that is started without a name "None", so that there can be one only. Here it gets a UUID, as
Step Functions gives it. GetExecutionHistory knows neither `reverseOrder` nor pages there; here it has both.

moto's rules know no state machine as a target. Here they start an execution, whose input is the event.

moto lets the error of a task that was in flight take the place of a stop, so that the execution ends as FAILED. Here it
ends as ABORTED, whatever becomes of the task.

moto serves many requests at a time and writes to S3 without a lock: of two conditional writes of one object, both may
find their condition met. Here one write to S3 comes after the other.
"""

import json
from copy import copy
from functools import wraps
from threading import RLock, Thread
from uuid import uuid4

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
from moto.core.utils import iso_8601_datetime_without_milliseconds, utcfromtimestamp
from moto.events.models import Rule
from moto.s3.responses import S3Response
from moto.server import main
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.flow.start_at import StartAt
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn as Integration,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from moto.stepfunctions.responses import StepFunctionResponse

call = Integration._eval_service_task
send_to_targets = Rule.send_to_targets
set_error = Environment.set_error
writing = RLock()


def renamed(members, change):
    return {change(name[0]) + name[1:]: value for name, value in members.items()}


def call_with_small_letters(self, env, resource_runtime_part, normalised_parameters, state_credentials):
    parameters = {"name": str(uuid4()), **renamed(normalised_parameters, str.lower)}
    call(self, env, resource_runtime_part, parameters, state_credentials)
    env.stack.append(renamed(env.stack.pop(), str.upper))


def answer_with_capital_letters(self, response, boto_service_name=None, service_action_name=None):
    capital = renamed(response, str.upper)
    response.clear()
    response.update(capital)


def start_execution(self):
    execution = self.stepfunction_backend.start_execution(
        self._get_param("stateMachineArn"),
        self._get_param("name") or str(uuid4()),
        self._get_param("input", if_none="{}"),
    )
    return ActionResult({"executionArn": execution.execution_arn, "startDate": execution.start_date})


def get_execution_history(self):
    history = self.stepfunction_backend.get_execution_history(self._get_param("executionArn"))
    # Ids grow with the events, and more of these may come while the pages are read: a token is the last id of its page.
    token, most = self._get_param("nextToken"), self._get_int_param("maxResults") or 1000
    if self._get_bool_param("reverseOrder"):
        events = [event for event in reversed(history["events"]) if not token or event["id"] < int(token)]
    else:
        events = [event for event in history["events"] if not token or event["id"] > int(token)]
    answer = {**history, "events": events[:most]}
    if len(events) > most:
        answer["nextToken"] = str(events[most - 1]["id"])
    return ActionResult(answer)


def send_to_state_machines_too(self, event, transform_input=True):
    machines = [target["Arn"] for target in self.targets if ":states:" in target["Arn"]]
    if machines and self.event_pattern.matches_event(event):
        sent = {name: value for name, value in event.items() if name != "ingestion-time"}
        sent["time"] = iso_8601_datetime_without_milliseconds(utcfromtimestamp(float(event["time"])))
        for machine in machines:
            backend = stepfunctions_parser_backends[self.account_id][self.region_name]
            backend.start_execution(machine, f"{event['id']}_{uuid4()}", json.dumps(sent))
    others = copy(self)
    others.targets = [target for target in self.targets if target["Arn"] not in machines]
    send_to_targets(others, event, transform_input)


class ExecutionNotRedrivable(AWSError):
    TYPE = "ExecutionNotRedrivable"
    STATUS = 400


def redrive(execution):
    if execution.exec_status not in (ExecutionStatus.FAILED, ExecutionStatus.TIMED_OUT, ExecutionStatus.ABORTED):
        raise ExecutionNotRedrivable(f"{execution.exec_arn} is {execution.status} and cannot be redriven")
    before = execution.exec_worker.env
    history = before.event_manager.get_event_history()
    passed = [event for event in history if "stateEnteredEventDetails" in event or "stateExitedEventDetails" in event]
    state = passed[-1].get("stateEnteredEventDetails") if passed else None
    if state is None:
        raise ExecutionNotRedrivable(f"{execution.exec_arn} was stopped between two states, which moto does not keep")

    worker = execution._get_start_execution_worker()
    program = worker._get_evaluation_entrypoint()
    program.start_at = StartAt(state["name"])
    env = worker.env = worker._get_evaluation_environment()
    env.states.reset(json.loads(state["input"]))
    env.event_manager = before.event_manager
    env.event_history_context = before.event_history_context
    count = 1 + sum(event["type"] == HistoryEventType.ExecutionRedriven for event in history)
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.ExecutionRedriven,
        event_details=EventDetails(executionRedrivenEventDetails={"redriveCount": count}),
    )
    execution.exec_worker = worker
    execution.exec_status = ExecutionStatus.RUNNING
    execution.stop_date = execution.error = execution.cause = None

    def run():
        program.eval(env)
        worker._execution_communication.terminated()

    Thread(target=run, daemon=True).start()
    return env.event_manager._get_current_timestamp()


def redrive_execution(self):
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    return ActionResult({"redriveDate": redrive(execution)})


def set_error_unless_stopped(self, error):
    with self._state_mutex:
        if not isinstance(self._program_state, ProgramStopped):
            set_error(self, error)


def one_at_a_time(write):
    @wraps(write)
    def locked(self, *arguments):
        with writing:
            return write(self, *arguments)

    return locked


Integration._eval_service_task = call_with_small_letters
Integration._normalise_response = answer_with_capital_letters
Rule.send_to_targets = send_to_state_machines_too
StepFunctionResponse.start_execution = start_execution
StepFunctionResponse.get_execution_history = get_execution_history
StepFunctionResponse.redrive_execution = redrive_execution
Environment.set_error = set_error_unless_stopped
# The last one completes uploads in parts, among others.
for name in ("put_object", "copy_object", "delete_object", "_key_response_post"):
    setattr(S3Response, name, one_at_a_time(getattr(S3Response, name)))

main()
