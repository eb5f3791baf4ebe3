//! Turns a panic of a library's decoder into a defect.
//!
//! What must stay true: a panic while corrupt input is decoded becomes a defect. Its message is not printed, because it
//! may quote the input.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs `decode`; `None` if it panicked. Values that it borrowed must not be used after a panic.
pub(crate) fn caught<T>(decode: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !SILENT.get() {
                before(panic);
            }
        }));
    });
    let outer = SILENT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(decode)).ok();
    SILENT.set(outer);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught() {
        assert_eq!(caught(|| 1), Some(1));
        assert_eq!(caught(|| -> u8 { panic!("a value") }), None);
        assert!(!SILENT.get());
    }
}
