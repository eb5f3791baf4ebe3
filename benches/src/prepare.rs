//! Writes the data of a format into the build folder, once.
//!
//! What must stay true: a folder of data with its facts beside it is complete. It is written under another name and
//! renamed when complete, and the facts are written last. Its name holds everything that decides the data.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use flate2::{Compression, write::GzEncoder};
use serde::{Deserialize, Serialize};

use crate::data::{Data, Format, write_csv, write_jsonl};

/// Must be raised if the data or the members of the facts change.
const VERSION: u32 = 1;
const SEED: u64 = 20_261_101;

/// How much data of a format to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The approximate stored megabytes (10^6 bytes).
    pub megabytes: u64,
    /// The number of files.
    pub files: u64,
}

/// The facts that are written beside the data.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    rows: u64,
    stored_bytes: u64,
    decoded_bytes: Option<u64>,
}

impl Amount {
    /// The rows of each file.
    fn rows_per_file(self, format: Format) -> u64 {
        (self.megabytes * 1_000_000 / format.row_bytes() / self.files.max(1)).max(1)
    }

    fn name(self, format: Format) -> String {
        let Self { megabytes, files } = self;
        format!("{}-{megabytes}mb-{files}-files-v{VERSION}", format.name())
    }
}

/// The data of a format, from an earlier run or made now. ORC needs a Python with pyarrow.
///
/// # Errors
/// If they cannot be written.
pub fn prepare(own: &Path, python: &Path, script: &Path, format: Format, amount: Amount) -> Result<Data> {
    let folder = own.join(amount.name(format));
    let facts_path = folder.with_extension("json");
    if folder.is_dir()
        && let Ok(text) = fs::read_to_string(&facts_path)
        && let Ok(facts) = serde_json::from_str::<Facts>(&text)
    {
        return Ok(data(format, folder, &facts, amount.files));
    }

    let _ = writeln!(
        io::stderr(),
        "benchmark: writing {} MB of {} in {} files into {}",
        amount.megabytes,
        format.title(),
        amount.files,
        folder.display()
    );
    let unfinished = folder.with_extension("unfinished");
    for old in [&folder, &unfinished] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot create {}", unfinished.display()))?;
    let rows = amount.rows_per_file(format);
    let write = |number: u64| {
        let path = unfinished.join(file_name(format, number));
        write_file(format, number * rows..(number + 1) * rows, &path, python, script)
            .with_context(|| format!("cannot write {}", path.display()))
    };
    // Two threads write at a time, because nothing else runs on the two cores meanwhile.
    let halves = thread::scope(|scope| {
        let half = |first: u64| scope.spawn(move || (first..amount.files).step_by(2).map(write).sum::<Result<u64>>());
        let (even, odd) = (half(0), half(1));
        [even.join(), odd.join()]
    });
    let mut decoded = 0;
    for half in halves {
        decoded += half.map_err(|_| anyhow!("a writer of data panicked"))??;
    }
    let mut stored = 0;
    for entry in fs::read_dir(&unfinished)? {
        stored += entry?.metadata()?.len();
    }
    let facts = Facts {
        rows: rows * amount.files,
        stored_bytes: stored,
        decoded_bytes: (format == Format::JsonlGzip).then_some(decoded),
    };
    fs::rename(&unfinished, &folder).with_context(|| format!("cannot rename {}", unfinished.display()))?;
    fs::write(&facts_path, serde_json::to_string(&facts)?)
        .with_context(|| format!("cannot write {}", facts_path.display()))?;
    Ok(data(format, folder, &facts, amount.files))
}

fn data(format: Format, folder: PathBuf, facts: &Facts, files: u64) -> Data {
    Data {
        format,
        folder,
        files: (0..files).map(|number| file_name(format, number)).collect(),
        rows: facts.rows,
        stored_bytes: facts.stored_bytes,
        decoded_bytes: facts.decoded_bytes,
    }
}

fn file_name(format: Format, number: u64) -> String {
    format!("part-{number:05}.{}", format.extension())
}

/// Writes one file; returns the bytes of its text before compression.
fn write_file(format: Format, rows: Range<u64>, path: &Path, python: &Path, script: &Path) -> Result<u64> {
    if format == Format::Orc {
        return write_orc(rows, path, python, script);
    }
    let file = BufWriter::new(File::create(path)?);
    let (text, mut file) = match format {
        Format::Csv => {
            let mut counted = Counted { out: file, bytes: 0 };
            write_csv(SEED, rows, &mut counted)?;
            (counted.bytes, counted.out)
        }
        Format::JsonlGzip => {
            let packed = BufWriter::with_capacity(1 << 16, GzEncoder::new(file, Compression::new(6)));
            let mut counted = Counted { out: packed, bytes: 0 };
            write_jsonl(SEED, rows, &mut counted)?;
            let packed = counted.out.into_inner().map_err(io::IntoInnerError::into_error)?;
            (counted.bytes, packed.finish()?)
        }
        Format::Jsonl | Format::Orc => {
            let mut counted = Counted { out: file, bytes: 0 };
            write_jsonl(SEED, rows, &mut counted)?;
            (counted.bytes, counted.out)
        }
    };
    file.flush()?;
    Ok(text)
}

/// Lets pyarrow make ORC from CSV.
fn write_orc(rows: Range<u64>, path: &Path, python: &Path, script: &Path) -> Result<u64> {
    let mut child = Command::new(python)
        .arg(script)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(io::stderr())
        .spawn()
        .context("cannot start Python")?;
    let stdin = child.stdin.take().context("Python has no input")?;
    let mut counted = Counted {
        out: BufWriter::with_capacity(1 << 16, stdin),
        bytes: 0,
    };
    let written = write_csv(SEED, rows, &mut counted).and_then(|()| counted.flush());
    let text = counted.bytes;
    drop(counted);
    let status = child.wait()?;
    if !status.success() {
        bail!("pyarrow did not write it: {status}");
    }
    written?;
    Ok(text)
}

/// A writer that counts bytes.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMOUNT: Amount = Amount { megabytes: 1, files: 3 };

    fn make(own: &Path, format: Format) -> Data {
        // Only ORC needs Python.
        prepare(own, Path::new("none"), Path::new("none"), format, AMOUNT).unwrap()
    }

    #[test]
    fn data_are_made_once_and_again_if_an_earlier_run_was_interrupted() {
        let own = tempfile::tempdir().unwrap();
        let data = make(own.path(), Format::JsonlGzip);
        assert_eq!(data.files.len(), 3);
        assert!(data.decoded_bytes.unwrap() > 3 * data.stored_bytes);
        let mark = data.folder.join(&data.files[0]);
        fs::write(&mark, "").unwrap();
        assert_eq!(make(own.path(), Format::JsonlGzip).rows, data.rows);
        assert_eq!(fs::metadata(&mark).unwrap().len(), 0, "the data must not be made again");
        // An interruption leaves data without facts.
        fs::remove_file(data.folder.with_extension("json")).unwrap();
        make(own.path(), Format::JsonlGzip);
        assert!(
            fs::metadata(&mark).unwrap().len() > 0,
            "unfinished data must be made again"
        );
    }

    #[test]
    fn the_data_are_about_as_large_as_asked_for() {
        let own = tempfile::tempdir().unwrap();
        for format in [Format::Csv, Format::Jsonl, Format::JsonlGzip] {
            let stored = make(own.path(), format).stored_bytes;
            assert!((900_000..1_100_000).contains(&stored), "{}: {stored}", format.name());
        }
    }

    #[test]
    fn a_program_that_fails_leaves_no_data() {
        let own = tempfile::tempdir().unwrap();
        let fail = |python: &str| {
            prepare(own.path(), Path::new(python), Path::new("none"), Format::Orc, AMOUNT).unwrap_err();
            assert!(!own.path().join(AMOUNT.name(Format::Orc)).exists());
        };
        fail("false");
        fail("no-such-python");
    }
}
