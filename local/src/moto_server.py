"""moto's server, with one integration of its interpreter mended.

moto 5.2.5 hands the parameters of `states:startExecution` to boto3 as the definition spells them, with capital letters,
and reads boto3's answer as if it had some; boto3 has small ones on both sides (KeyError 'StateMachineArn'). And all
executions that were given no name have the same one there. Here letters are changed and names are made up on the way, as
Step Functions does it, so that the deployed definition runs as it is.
"""

from uuid import uuid4

from moto.server import main
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn as Integration,
)

call = Integration._eval_service_task


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


Integration._eval_service_task = call_with_small_letters
Integration._normalise_response = answer_with_capital_letters

main()
