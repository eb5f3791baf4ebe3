//! Follows an execution to its end.

use std::time::Duration;

use landfall::error::{Error, ErrorKind, Result};

use crate::{
    executions::{Described, Executions, State},
    present::{Line, Narrator},
    steps::Reader,
};

/// The first pause between two looks, and the longest. A job may take hours, and each look reads its whole history.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// Follows an execution. `tell` gets each line once, and what is being done now. Fails as Step Functions does. A look
/// that fails for a passing reason is repeated.
pub async fn follow(
    executions: &dyn Executions,
    execution: &str,
    all: bool,
    mut tell: impl FnMut(&[Line], &str),
) -> Result<Described> {
    let (mut reader, mut narrator) = (Reader::default(), Narrator::new(all));
    let mut pause = PAUSES.0;
    loop {
        let seen = async {
            let described = executions.describe(execution).await?;
            // Read after the description, so that the history is whole if the execution has ended.
            let history = executions.history(execution).await?;
            Ok::<_, Error>((described, history))
        };
        match seen.await {
            Ok((described, history)) => {
                let steps = reader.read(&history);
                let lines: Vec<Line> = steps.iter().flat_map(|step| narrator.tell(step)).collect();
                tell(&lines, narrator.now().unwrap_or_default());
                let described = described.ok_or_else(|| {
                    Error::new(
                        ErrorKind::NotFound,
                        format!("the execution {execution} is not there any more"),
                    )
                })?;
                if described.listed.state != State::Running {
                    return Ok(described);
                }
                if !lines.is_empty() {
                    pause = PAUSES.0;
                }
            }
            Err(error) if error.kind.is_transient() => tell(&[], &error.message),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(PAUSES.1);
    }
}
