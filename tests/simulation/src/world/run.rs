//! Runs a world: each delivery is an execution of the machine, and an execution that fails without being sealed is
//! redriven.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::Result;

use super::{World, execution::Execution, short};
use crate::{
    aftermath::{Aftermath, Ended},
    machine::End,
    plan::Plan,
    tally::Tally,
    time::{MOST_EVENTS, Timeline},
};

/// How often such an execution is redriven.
const MOST_REDRIVES: u32 = 12;

/// Runs a plan to its end.
pub fn run(plan: Plan, keep_log: bool) -> Result<Aftermath> {
    Timeline::run(MOST_EVENTS, |timeline| live(plan, timeline, keep_log, None))?
}

/// Runs a plan to its end and counts the requests to the ledger and the service.
pub fn run_counted(plan: Plan, tally: &Arc<Tally>) -> Result<Aftermath> {
    let most_events = MOST_EVENTS.saturating_mul(plan.deliveries.len() as u64);
    Timeline::run(most_events, |timeline| live(plan, timeline, false, Some(tally)))?
}

async fn live(plan: Plan, timeline: Timeline, keep_log: bool, tally: Option<&Arc<Tally>>) -> Result<Aftermath> {
    let (world, landing) = World::build(plan, timeline, keep_log, tally)?;
    let ended = world.live().await;
    Ok(world.aftermath(ended, landing))
}

impl World {
    /// Delivers everything, and waits until all executions have ended.
    async fn live(self: &Arc<Self>) -> Vec<Ended> {
        let ticking = tokio::spawn(Arc::clone(self).tick());
        let executions: Vec<_> = (0..self.plan.deliveries.len())
            .map(|delivery| tokio::spawn(Arc::clone(self).deliver(delivery)))
            .collect();
        let mut ended = Vec::new();
        for execution in executions {
            match execution.await {
                Ok(end) => ended.push(end),
                Err(error) => self.state().panics.push(format!("an execution: {error}")),
            }
        }
        // Functions that stood still may still go on.
        while self.running.load(Ordering::SeqCst) > 0 {
            self.timeline.sleep(Duration::from_secs(10)).await;
        }
        ticking.abort();
        ended
    }

    async fn deliver(self: Arc<Self>, number: usize) -> Ended {
        let delivery = &self.plan.deliveries[number];
        self.timeline.sleep(delivery.at).await;
        self.log.tell(number, || match delivery.is_cancel() {
            true => format!("cancel of trigger {}", delivery.trigger),
            false => format!("delivery of trigger {}", delivery.trigger),
        });
        let execution = Execution {
            arn: format!(
                "arn:aws:states:eu-central-1:111122223333:execution:{}:delivery-{number}",
                self.plan.kind.name
            ),
            dice: self.dice("execution", number, &[]),
            world: Arc::clone(&self),
            delivery: number,
        };
        let mut end = self.machine.run(&execution, delivery.event.clone()).await;
        let mut redrives = 0;
        while let End::Broken { state, input, error } = &end {
            let is_redrivable = matches!(state.as_str(), "Seal" | "Announce");
            if !is_redrivable || redrives == MOST_REDRIVES {
                break;
            }
            self.log.tell(number, || {
                format!(
                    "the execution fails in {state}: {} {}",
                    error.error,
                    short(&error.cause)
                )
            });
            redrives += 1;
            let pause = execution
                .dice
                .between(Duration::from_secs(30), Duration::from_secs(1800));
            self.timeline.sleep(pause).await;
            if redrives > 2 {
                self.tidy_up();
            }
            self.log.tell(number, || format!("redriven in {state}"));
            let (state, input) = (state.clone(), input.clone());
            end = self.machine.go_on(&execution, state, input).await;
        }
        self.log.tell(number, || match &end {
            End::Succeeded(_) => "the execution succeeded".to_owned(),
            End::Failed { error, .. } => format!("the execution failed: {} {}", error.error, short(&error.cause)),
            End::Broken { state, error, .. } => format!("the execution broke in {state}: {}", error.error),
        });
        Ended {
            delivery: number,
            end,
            redrives,
            at: self.timeline.elapsed(),
        }
    }
}
