//! Child processes that cannot outlive this one.
//!
//! What must stay true: every process started here ends when its owner drops it, when the [`Guard`] is dropped, and
//! when this process itself is killed. For the last case a small shell reads process ids from a pipe. The pipe closes
//! with this process, however it ends. Then the shell kills what is still on its list. Only processes on the list are
//! ever killed, by their id.

use std::{
    io::{ErrorKind, Write},
    process::{Child as StdChild, ChildStdin, Command as StdCommand, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// Reads `started PID` and `ended PID` lines. At the end of its input it kills the processes that started and did not
/// end.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
pids=' '
while read -r what pid; do
  case $what in
    started) pids="$pids$pid " ;;
    ended) case $pids in *" $pid "*) pids="${pids%% "$pid" *} ${pids#* "$pid" }" ;; esac ;;
  esac
done
for pid in $pids; do kill -9 "$pid"; done 2>/dev/null
exit 0
"#;

/// Makes sure that the children end. Cheap to clone. Dropping the last clone ends them.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Shell>);

#[derive(Debug)]
struct Shell {
    process: Mutex<StdChild>,
    input: Mutex<Option<ChildStdin>>,
}

impl Guard {
    /// Starts the shell that watches.
    pub fn start() -> Result<Self> {
        let mut command = StdCommand::new("sh");
        command
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        #[cfg(unix)]
        {
            // A process group of its own, so that Ctrl-C reaches this process only, which then ends the children.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
        }
        let mut process = command
            .spawn()
            .context("cannot start `sh`, which ends the child processes should this one be killed")?;
        let input = process.stdin.take();
        Ok(Self(Arc::new(Shell {
            process: Mutex::new(process),
            input: Mutex::new(input),
        })))
    }

    /// Starts a process that ends with this guard. The returned handle kills it when dropped.
    pub fn spawn(&self, command: &mut Command) -> Result<Guarded> {
        command.kill_on_drop(true).stdin(Stdio::null());
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn();
        // The script may have been written a moment ago. Until its exec, another thread's fork may still hold the file
        // open.
        for _ in 0..10 {
            if !matches!(&child, Err(error) if error.kind() == ErrorKind::ExecutableFileBusy) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
            child = command.spawn();
        }
        let child = child.with_context(|| {
            let program = command.as_std().get_program().display().to_string();
            format!("cannot start {program}")
        })?;
        let id = child.id();
        if let Some(id) = id {
            self.tell("started", id);
        }
        Ok(Guarded {
            child,
            id,
            guard: self.clone(),
        })
    }

    fn tell(&self, what: &str, id: u32) {
        let mut input = self.0.input.lock().unwrap_or_else(PoisonError::into_inner);
        // A shell that is gone cannot be told. `kill_on_drop` still works then.
        if let Some(input) = input.as_mut() {
            let _ = input.write_all(format!("{what} {id}\n").as_bytes());
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.input.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = process.wait();
    }
}

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    id: Option<u32>,
    guard: Guard,
}

impl Guarded {
    /// Waits for its end.
    pub async fn wait(&mut self) -> std::io::Result<std::process::ExitStatus> {
        let status = self.child.wait().await;
        self.ended();
        status
    }

    /// Kills it and waits for its end.
    pub async fn kill(&mut self) -> std::io::Result<std::process::ExitStatus> {
        // Fails only if the process has ended already.
        let _ = self.child.start_kill();
        self.wait().await
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> std::io::Result<Option<std::process::ExitStatus>> {
        let status = self.child.try_wait();
        if matches!(status, Ok(Some(_))) {
            self.ended();
        }
        status
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    fn ended(&mut self) {
        if let Some(id) = self.id.take() {
            self.guard.tell("ended", id);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The id stays on the list, because it is not known here whether the process has ended. The guard kills the
        // rest.
        let _ = self.child.start_kill();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn runs(id: u32) -> bool {
        let asked = StdCommand::new("sh")
            .args(["-c", &format!("kill -0 {id} 2>/dev/null")])
            .status();
        asked.is_ok_and(|status| status.success())
    }

    async fn gone(id: u32) -> bool {
        for _ in 0..100 {
            if !runs(id) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    #[tokio::test]
    async fn a_child_ends_when_its_handle_is_dropped() {
        let guard = Guard::start().unwrap();
        let child = guard.spawn(Command::new("sleep").arg("60")).unwrap();
        let id = child.id().unwrap();
        assert!(runs(id));
        drop(child);
        assert!(gone(id).await);
    }

    #[tokio::test]
    async fn a_child_ends_with_the_guard_even_if_its_handle_is_lost() {
        let guard = Guard::start().unwrap();
        let ended = guard.spawn(&mut Command::new("true")).unwrap().wait().await.unwrap();
        assert!(ended.success());
        let mut children = [0, 1].map(|_| guard.spawn(Command::new("sleep").arg("60")).unwrap());
        // The pipe closes when this process ends. For the shell, taking away the input is the same.
        drop(guard.0.input.lock().unwrap().take());
        for child in &mut children {
            assert!(!child.wait().await.unwrap().success());
        }
    }
}
