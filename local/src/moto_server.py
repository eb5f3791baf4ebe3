"""moto's server, with some of its faults mended and RedriveExecution added.

moto 5.2.5 hands the parameters of `states:startExecution` to boto3 as the definition spells them, with capital letters,
and reads boto3's answer as if it had some; boto3 has small ones on both sides (KeyError 'StateMachineArn'). And all
executions that were given no name have the same one there. Here letters are changed and names are made up on the way,
as Step Functions does it, so that the deployed definition runs as it is.

moto has no RedriveExecution. Here it is as Step Functions documents it: an execution that failed, timed out or was
stopped goes on in the state in which it ended, with the input that this state had, under its own ARN and definition;
its retries and its time begin anew, its history goes on. A Distributed Map is run anew, where Step Functions would
redrive only the children that did not succeed.

moto lets the error of a task that was in flight take the place of a stop, so that the execution ends as FAILED. Here it
ends as ABORTED, whatever becomes of the task.

moto serves many requests at a time and writes to S3 without a lock: of two conditional writes of one object, both may
find their condition met. Here one write to S3 comes after the other.
"""

import json
from functools import wraps
from threading import RLock, Thread
from uuid import uuid4

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult
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
from moto.stepfunctions.responses import StepFunctionResponse

call = Integration._eval_service_task
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
StepFunctionResponse.redrive_execution = redrive_execution
Environment.set_error = set_error_unless_stopped
# The last one completes uploads in parts, among others.
for name in ("put_object", "copy_object", "delete_object", "_key_response_post"):
    setattr(S3Response, name, one_at_a_time(getattr(S3Response, name)))

main()
