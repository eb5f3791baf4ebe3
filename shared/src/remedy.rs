//! What to do about an error.
//!
//! What must stay true: advice is written here and nowhere else. A test writes the tables of the runbook
//! (`docs/operations.md`) from it and compares them, and the programs that show a job print it. If the export of a job
//! may still be good, the advice is to pick the job up before exporting again.
//!
//! Landfall's own errors are here, by kind. The errors of a service are in its crate, as rows of [`ServiceError`]; the
//! same rows name the error of a failed call.

use crate::error::ErrorKind;

/// A command that may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Look at the event, without sending it.
    Check,
    /// Start the event again, corrected or as it was. Through a bus it would get another id and be another job.
    Send,
    /// Export again, as another job of the same event.
    Rerun,
    /// Continue the export that was made: wait for it, verify it and seal it.
    PickUp,
    /// Resume the execution in the state in which it failed.
    Redrive,
}

impl Next {
    /// The command line. `{job}` stands for the job's key, `{event}` for a file that holds the event.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Check => "landfall check {event}",
            Self::Send => "landfall send {event} --direct",
            Self::Rerun => "landfall rerun {job}",
            Self::PickUp => "landfall pick-up {job}",
            Self::Redrive => "landfall redrive {job}",
        }
    }
}

/// What to do, in a few plain sentences and as commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Plain text without markup.
    pub what: &'static str,
    /// The commands, the most likely one first; empty if no command helps.
    pub next: &'static [Next],
}

/// What an error means and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// What happened, as Markdown for `docs/operations.md`.
    pub meaning: &'static str,
    /// What to do in special cases, as Markdown for `docs/operations.md`; empty if there are none.
    pub what_to_do: &'static str,
    /// What to do, in short, if the service has no job.
    pub unstarted: Advice,
    /// What to do, in short, if the service made a job, whose files may be good.
    pub started: Advice,
}

impl Remedy {
    /// The advice for a job. `was_started` says whether the service gave it an id.
    pub const fn advice(&self, was_started: bool) -> Advice {
        if was_started { self.started } else { self.unstarted }
    }
}

/// An error of a service: it answers a call with it, or reports it of a job or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// The service's own code, such as `AccessDeniedException`.
    pub code: &'static str,
    /// The name that Landfall gives the error.
    pub kind: ErrorKind,
    /// What the service's documentation says about the error.
    pub meaning: &'static str,
    pub remedy: &'static str,
}

/// The row with this code.
pub fn find<'a>(errors: &'a [ServiceError], code: &str) -> Option<&'a ServiceError> {
    errors.iter().find(|error| error.code == code)
}

/// How an execution ended, where that says more than the name of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// It failed in Seal, in Announce or, for a batch, in Summary. The export may be good.
    InSeal,
    /// Somebody stopped it, or it timed out. The job is open.
    Stopped,
    /// It failed in another state before an outcome was sealed.
    Unsealed,
    /// This delivery of the event failed, and the job, if there is one, goes on. The key of its receipt begins with
    /// `rejected-`.
    Rejected,
}

impl Ended {
    pub const ALL: [Self; 4] = [Self::InSeal, Self::Stopped, Self::Unsealed, Self::Rejected];

    /// The row's name in the runbook, as Markdown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InSeal => "the execution failed in `Seal`, `Announce` or a batch's `Summary`",
            Self::Stopped => "the execution was aborted or timed out",
            Self::Unsealed => "the execution failed in a state other than `Failed`",
            Self::Rejected => "the key of its receipt begins with `rejected-`",
        }
    }

    pub const fn advice(self) -> Advice {
        match self {
            Self::InSeal => Advice {
                what: "Fix what the error names (permissions of S3 or EventBridge, an outage), then redrive it within \
                       14 days. Do not rerun it: the export may be good.",
                next: &[Next::Redrive],
            },
            Self::Stopped => Advice {
                what: "The job is open, and the service goes on with it. Redrive the execution within 14 days, or \
                       send the same event again: it adopts the job and starts nothing twice.",
                next: &[Next::Redrive, Next::Send],
            },
            Self::Unsealed => Advice {
                what: "No outcome is sealed. Fix what the error names, then redrive it within 14 days.",
                next: &[Next::Redrive],
            },
            Self::Rejected => Advice {
                what: "Only this delivery failed. Fix what the error names, then send the event again: it adopts the \
                       job if there is one.",
                next: &[Next::Check, Next::Send],
            },
        }
    }
}

/// What an error of Landfall means and what to do about it.
pub const fn remedy(kind: ErrorKind) -> Remedy {
    match kind {
        ErrorKind::InvalidEvent => Remedy {
            meaning: "The event is not a request that Landfall or the service accepts.",
            what_to_do: "If the event has an `IdempotencyKey`, correct it and add `\"Rerun\": 1`: the failure may be \
                         sealed under the job's key. Customer Profiles also answers so to [an export role that does \
                         not fit](#customer-profiles-cannot-use-the-export-role).",
            unstarted: Advice {
                what: "Nothing was started. Correct what the error lists and send the event again. If the fault is \
                       outside the event (a role, a key, the file of an import), fix it and rerun.",
                next: &[Next::Check, Next::Send, Next::Rerun],
            },
            started: Advice {
                what: "Fix what the error names, then pick it up: no second export.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::Forbidden => Remedy {
            meaning: "An allow list, IAM, a bucket policy or the expected bucket owner refused it.",
            what_to_do: "The cause names the [allow list](deploy.md#parameters-of-the-stack) or the call. If a service \
                         cannot use its role or the bucket, see [Permissions](#permissions).",
            unstarted: Advice {
                what: "Nothing was started. If the event names the wrong thing, correct it and send it. Otherwise change \
                       the allow list or the policy, then rerun the job.",
                next: &[Next::Rerun, Next::Check, Next::Send],
            },
            started: Advice {
                what: "Fix what the error names, then pick it up: no second export.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::NotFound => Remedy {
            meaning: "A domain, segment, dashboard, application, job, source or bucket does not exist in this account \
                      and region. Customer Profiles says the same when it denies access.",
            what_to_do: "Name a segment by its identifier, not its display name.",
            unstarted: Advice {
                what: "Nothing was started. If the event has a wrong name, correct it and send it. If the name is \
                       right, fix the function's role, then rerun the job.",
                next: &[Next::Check, Next::Send, Next::Rerun],
            },
            started: Advice {
                what: "Fix what the error names, then pick it up: no second export.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::Throttled => Remedy {
            meaning: "The service or S3 throttled the call through 6 retries of a verification, or 12 of a seal. A \
                      throttled start waits in the queue until its deadline and ends as `Landfall.TimedOut`.",
            what_to_do: "",
            unstarted: Advice {
                what: "Rerun it when the service no longer throttles.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "Pick it up when the service and S3 no longer throttle: no second export.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::Busy => Remedy {
            meaning: "Another delivery held the claim, or the queue was full, through all retries, which take more \
                      than a day.",
            what_to_do: "If the queue is too long, see [Jobs stand in line](#jobs-stand-in-line). An import whose \
                         function died is `Busy` for up to 15 minutes.",
            unstarted: Advice {
                what: "Look for the other execution of the same job key. If there is none, rerun it.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "Look for the other execution of the same job key. If there is none, pick the job up.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::Unavailable => Remedy {
            meaning: "A service or S3 did not answer: in Start through 100 retries (hours) or until the deadline, in \
                      a verification through 6, in a seal through 12.",
            what_to_do: "",
            unstarted: Advice {
                what: "Look at the AWS Health Dashboard, then rerun it.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "Look at the AWS Health Dashboard, then pick it up: no second export.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::Unreachable => Remedy {
            meaning: "No request reached the service for five minutes, and no job was made. Mostly, the service is \
                      not in the stack's region.",
            what_to_do: "[kinds.md](kinds.md#where-the-services-are) says how to look up where the service is.",
            unstarted: Advice {
                what: "Nothing was started. Deploy the stack in a region that has the service. If this one has it, \
                       look at the function's network, then rerun it.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "Fix what the error names, then pick it up: no second export.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::Retired => Remedy {
            meaning: "The service no longer offers this job.",
            what_to_do: "For Pinpoint, see [kinds.md](kinds.md#pinpoint-endpoint-exports-and-imports).",
            unstarted: Advice {
                what: "The error says what to use instead.",
                next: &[],
            },
            started: Advice {
                what: "The error says what to use instead.",
                next: &[],
            },
        },
        ErrorKind::JobFailed => Remedy {
            meaning: "The service itself reports that the job failed.",
            what_to_do: "The receipt has the service's message; for Quick Sight only the code, because the message may \
                         quote values: ask DescribeDashboardSnapshotJobResult. For an import whose start call was \
                         lost, the cause names the jobs to look at before a rerun.",
            unstarted: Advice {
                what: "Read the service's message, fix the cause, then rerun it.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "Read the service's message, fix the cause (most often the export role, the bucket or the key), \
                       then rerun it.",
                next: &[Next::Rerun],
            },
        },
        ErrorKind::TimedOut => Remedy {
            meaning: "The job did not end before its deadline, waited in the queue until then, or its verification did \
                      not end. The cause says which.",
            what_to_do: "`DeadlineSeconds` is at most a day. If jobs wait long, see [Jobs stand in \
                         line](#jobs-stand-in-line). If an object `cannot be read within one invocation of the \
                         function, and cannot go on in a next one`, give verify-output more memory and so more \
                         processor (`MemorySize` of `VerifyOutputFunction` in `template.yaml`, then deploy), or ask \
                         for `Landfall.Verification.Level` `structure`, and pick it up. Or have the service write \
                         smaller files, and rerun.",
            unstarted: Advice {
                what: "It waited in the queue until its deadline and was never started. Rerun it, and give the next \
                       ones a longer DeadlineSeconds or a higher limit.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "It may have ended since. Pick it up: Landfall waits for it, verifies it and seals it without \
                       another export.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::OutputRejected => Remedy {
            meaning: "Files landed, but they do not prove a complete export.",
            what_to_do: "If the export is rightly empty: `landfall pick-up {job} --allow-empty`. If the check \
                         `format` says `not supported`, `encrypted` or `the most that is taken`, the file is [beyond \
                         what Landfall decodes](guarantees.md#what-cannot-be-promised), and a rerun gives the same: \
                         pick it up with `--level structure` or `--level listing`, or have the service write other \
                         files. Keep the prefix for the investigation.",
            unstarted: Advice {
                what: "Read the failed checks, then rerun it.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "Do not load the files. Read the failed checks. If they ask for too much (an export that is \
                       rightly empty, a file beyond what Landfall decodes), pick it up with other options in \
                       Landfall.Verification. If the files are broken, rerun it.",
                next: &[Next::PickUp, Next::Rerun],
            },
        },
        ErrorKind::Cancelled => Remedy {
            meaning: "Somebody cancelled the job; the cause names the execution that did.",
            what_to_do: "See [Cancel a job](#cancel-a-job).",
            unstarted: Advice {
                what: "It was never started. If the export is wanted after all, rerun it.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "The service goes on with it. If the export is wanted after all, pick it up: no second export.",
                next: &[Next::PickUp],
            },
        },
        ErrorKind::BatchFailed => Remedy {
            meaning: "Not every request of a batch succeeded.",
            what_to_do: "See [A batch failed](#a-batch-failed).",
            unstarted: Advice {
                what: "Look at the failed requests one by one, in the list of results that the error names.",
                next: &[],
            },
            started: Advice {
                what: "Look at the failed requests one by one, in the list of results that the error names.",
                next: &[],
            },
        },
        ErrorKind::Internal => Remedy {
            meaning: "A defect of Landfall or of its deployment, or Lambda ended a function (the cause then names \
                      Lambda's own error).",
            what_to_do: "`Sandbox.Timedout` in endpoint-import-start: the data cannot be decoded in 15 minutes. \
                         `Lambda.TooManyRequestsException`: other functions used up the account's concurrency for most \
                         of an hour or longer; raise it. `States.ItemReaderFailed`: the state machine's role could not \
                         read `verifications/` in the ledger bucket. `States.ExceedToleratedFailureThreshold`: more \
                         than 50 slices ended unexpectedly; look at the Map Run.",
            unstarted: Advice {
                what: "Read the error and the function's log, fix what they name, then rerun it.",
                next: &[Next::Rerun],
            },
            started: Advice {
                what: "Read the error and the function's log, fix what they name, then pick it up: no second export.",
                next: &[Next::PickUp],
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rerun_is_never_the_first_advice_if_the_job_may_be_good() {
        for kind in ErrorKind::ALL {
            let next = remedy(kind).started.next;
            // The service itself says that the export failed.
            if kind != ErrorKind::JobFailed {
                assert_ne!(next.first(), Some(&Next::Rerun), "{kind}");
            }
            assert!(!remedy(kind).unstarted.next.contains(&Next::PickUp), "{kind}");
        }
        for ended in Ended::ALL {
            assert!(!ended.advice().next.contains(&Next::Rerun), "{ended:?}");
        }
    }

    #[test]
    fn every_text_is_whole_sentences() {
        let is_whole = |text: &str| text.ends_with('.') && !text.contains("  ");
        for kind in ErrorKind::ALL {
            let remedy = remedy(kind);
            for text in [remedy.meaning, remedy.unstarted.what, remedy.started.what] {
                assert!(is_whole(text), "{kind}: {text}");
            }
            assert!(
                remedy.what_to_do.is_empty() || is_whole(remedy.what_to_do),
                "{kind}: {}",
                remedy.what_to_do
            );
        }
        for ended in Ended::ALL {
            assert!(is_whole(ended.advice().what), "{ended:?}");
        }
    }
}
