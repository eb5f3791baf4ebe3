//! Reads one object.
//!
//! What must stay true: each read names the ETag that was listed. No S3 call outlasts the invocation. No object is
//! begun before there is memory for all that it may hold. If an object is read in several invocations, its checksum is
//! of all its bytes.
//!
//! [`Reader::read`] first reads the beginning of an object, and its end if the format has a footer, to open the
//! decoder. Then it fetches a few ranges ahead, hashes and decodes each on a thread that may block, and asks the
//! decoder to finish. When the time is up, it keeps the decoder's checkpoint and the state of the checksum, so that a
//! later invocation can go on from there.

mod content;
mod reader;
mod stop;
mod task;

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use landfall::{
    error::{Error, ErrorKind, Result},
    expect::EmptyLines,
    heavy::heavy,
    job::Level,
    store::{Head as HeadOutput, Listed, checksum::StoredChecksum},
};
use tokio::sync::OwnedSemaphorePermit;

use self::{
    content::{Content, SNIFFED},
    stop::{Stop, stop},
};
pub(super) use self::{
    reader::Reader,
    task::{Disturbed, Paused, ReadResult, Resume, Task},
};
use super::{
    classify::{self, Plan},
    hash::{Checksums, Compared, Hash, States},
    report::{Finding, Reading, Role, VerifiedObject},
};
use landfall_formats::{
    Access, Decoded, Decoder, Defect, Format, Frame as TextFrame, Framed, Head, OpenByTail, Opened, TAIL_GUESS,
};

/// How often a file's tail may have to be read from an earlier byte. For a sound file, two reads are enough.
const OPENINGS: usize = 4;

impl Reader {
    /// Reads an object, from its beginning or from where it stopped.
    pub(super) async fn read(self: Arc<Self>, task: Task, resume: Option<Resume>) -> Result<ReadResult> {
        let Task { listed, plan } = task;
        let mut object = VerifiedObject {
            key: listed.key.clone(),
            role: Role::Extra,
            format: None,
            size: listed.size,
            etag: listed.etag.clone(),
            version_id: None,
            last_modified: listed.last_modified,
            sha256: None,
            rows: None,
            pages: None,
            error: None,
            encryption: None,
            kms_key: None,
            error_line: None,
            error_record: None,
        };
        let mut compared = None;
        let mut data = !matches!(plan, Plan::Ignore | Plan::Extra | Plan::Sniff(_));
        let result = self
            .clone()
            .find(&listed, plan, resume, &mut data, &mut object, &mut compared)
            .await;
        let mut finding = match result {
            Ok(finding) | Err(Stop::Found(finding)) => finding,
            Err(Stop::Disturbed) => return Ok(ReadResult::Disturbed(Disturbed { listed, data })),
            Err(Stop::Paused(at)) => return Ok(ReadResult::Paused { key: listed.key, at }),
            Err(Stop::Failed(error)) => {
                return Err(error.context(format_args!("reading s3://{}/{}", self.bucket, listed.key)));
            }
        };
        if data {
            object.role = Role::Data;
        }
        let shape = finding.shape();
        // If a file has no line of headings, which is possible, the first row looks like names, but it is exported
        // data.
        if !self.columns
            && let Finding::Whole(Decoded { columns, .. }) | Finding::Framed(Framed { columns, .. }) = &mut finding
        {
            *columns = Vec::new();
        }
        match &finding {
            Finding::Whole(decoded) => {
                object.rows = decoded.document.is_none().then_some(decoded.rows);
                object.pages = decoded.document.and_then(|document| document.pages);
            }
            Finding::Framed(framed) => object.pages = framed.document.and_then(|document| document.pages),
            Finding::Defective(defect) => {
                object.error = Some(defect.to_string());
                object.error_line = defect.line;
                object.error_record = defect.record;
            }
            Finding::Foreign(what) => object.error = Some(what.clone()),
            _ => {}
        }
        Ok(ReadResult::Read(Box::new(Reading {
            object,
            finding,
            compared,
            shape,
        })))
    }

    async fn find(
        self: Arc<Self>,
        listed: &Listed,
        plan: Plan,
        resume: Option<Resume>,
        data: &mut bool,
        object: &mut VerifiedObject,
        compared: &mut Option<Compared>,
    ) -> Result<Finding, Stop> {
        let mut content = Content::new(&self, listed);
        match plan {
            Plan::Ignore | Plan::Extra => return Ok(Finding::Extra(None)),
            Plan::Foreign(_) => {}
            Plan::Data(format) | Plan::Empty(format) => object.format = Some(format),
            Plan::Sniff(_) if self.level == Level::Listing => return Ok(Finding::Untold),
            Plan::Sniff(format) => {
                let first = content.get(0, listed.size.min(SNIFFED)).await?;
                let (is_data, content) = classify::is_data(head_of(&first, listed), format);
                if !is_data {
                    return Ok(Finding::Extra(content));
                }
                *data = true;
                object.format = Some(format);
            }
        }
        let mut stored = None;
        if self.level > Level::Listing {
            let head = self.head(listed).await?;
            object.version_id = head.version_id;
            object.encryption = head.encryption;
            object.kms_key = head.kms_key;
            stored = head.checksum;
        }
        let format = match plan {
            Plan::Empty(_) => return Ok(Finding::Empty),
            Plan::Foreign(what) => return Ok(Finding::Foreign(what)),
            Plan::Data(format) | Plan::Sniff(format) => format,
            Plan::Ignore | Plan::Extra => return Ok(Finding::Extra(None)),
        };
        match self.level {
            Level::Listing => Ok(Finding::Listed),
            Level::Structure => self.frame(format, &content, listed).await,
            Level::Full => {
                let (decoder, _permit) = self.decoder(format, &content, listed, resume.as_ref()).await?;
                if resume.is_none() {
                    let first = content.peek().await?;
                    if let Some(what) = classify::foreign(head_of(&first, listed), format) {
                        return Ok(Finding::Foreign(what));
                    }
                }
                let (mut decoded, checksums) = self.decode(decoder, content, resume, stored.as_ref()).await?;
                let (sha256, result) = checksums.finish(stored.as_ref());
                object.sha256 = Some(sha256);
                *compared = result;
                if let Some(what) = self.empty_lines {
                    let empty = std::mem::take(&mut decoded.empty_lines);
                    decoded.rows += if what == EmptyLines::Count { empty } else { 0 };
                }
                Ok(Finding::Whole(decoded))
            }
        }
    }

    /// Looks at the beginning and the end of an object.
    async fn frame(&self, format: Format, content: &Content, listed: &Listed) -> Result<Finding, Stop> {
        let size = listed.size;
        let head = content.get(0, size.min(SNIFFED)).await?;
        if let Some(what) = classify::foreign(head_of(&head, listed), format) {
            return Ok(Finding::Foreign(what));
        }
        let decoder = match &format.row().access {
            Access::Tail(open) => self.open_by_tail(content, *open).await?,
            Access::Stream { frame, .. } => {
                let head = head_of(&head, listed);
                return Ok(Finding::Framed(match frame {
                    TextFrame::Begin(frame) => frame(head)?,
                    TextFrame::Ends(frame) => {
                        let tail = content.get(size - size.min(SNIFFED), size).await?;
                        frame(head, &tail)?
                    }
                }));
            }
        };
        let mut framed = decoder.frame();
        if let Some(begin) = decoder.begin() {
            let range = begin.within.clone();
            let found = match head.get(range.start as usize..range.end as usize) {
                Some(found) => Bytes::copy_from_slice(found),
                None if range.end <= size => content.get(range.start, range.end).await?,
                None => Bytes::new(),
            };
            if let Some(remark) = begin.look(&found)? {
                framed.remarks.add(remark);
            }
        }
        Ok(Finding::Framed(framed))
    }

    async fn head(&self, listed: &Listed) -> Result<HeadOutput, Stop> {
        let head = self.in_time(self.store.head(&self.bucket, &listed.key)).await?;
        match head.map_err(stop)? {
            Some(head) if head.etag == listed.etag && head.size == listed.size => Ok(head),
            _ => Err(Stop::Disturbed),
        }
    }

    /// Opens the decoder, and reserves the memory that it and its ranges may hold.
    async fn decoder(
        &self,
        format: Format,
        content: &Content,
        listed: &Listed,
        resume: Option<&Resume>,
    ) -> Result<(Box<dyn Decoder>, OwnedSemaphorePermit), Stop> {
        let opened = match format.row().access {
            Access::Stream { new, .. } => Ok(new()),
            Access::Tail(open) => self.open_by_tail(content, open).await,
        };
        let decoder = match opened {
            // The first bytes may show what the object is instead.
            Err(Stop::Found(finding)) => {
                let first = content.get(0, content.size.min(SNIFFED)).await?;
                let foreign = classify::foreign(head_of(&first, listed), format);
                return Err(Stop::Found(foreign.map_or(finding, Finding::Foreign)));
            }
            opened => opened?,
        };
        let decoder = match resume.and_then(|resume| resume.checkpoint.clone()) {
            Some(checkpoint) => decoder.resume(checkpoint)?,
            None => decoder,
        };
        let buffers = content.size.min(self.ranges as u64 * u64::from(self.held));
        let permit = self.reserve(buffers + decoder.needs(content.size)).await?;
        Ok((decoder, permit))
    }

    async fn open_by_tail(&self, content: &Content, open: OpenByTail) -> Result<Box<dyn Decoder>, Stop> {
        let size = content.size;
        let mut start = size - size.min(TAIL_GUESS);
        for _ in 0..OPENINGS {
            let tail = content.get(start, size).await?;
            match blocking(move || open(size, start, &tail)).await?? {
                Opened::Ready(decoder) => return Ok(decoder),
                Opened::Needs(earlier) => start = earlier,
            }
        }
        Err(Defect::new("has a tail whose begin cannot be found").into())
    }

    /// Hashes and decodes the object, from its beginning or from a checkpoint.
    async fn decode(
        &self,
        mut decoder: Box<dyn Decoder>,
        mut content: Content,
        resume: Option<Resume>,
        stored: Option<&StoredChecksum>,
    ) -> Result<(Decoded, Checksums), Stop> {
        let (mut checksums, mut hashed, mut offset) = match &resume {
            Some(resume) => (
                resume.checksums(stored).map_err(Stop::Failed)?,
                resume.hashed,
                resume.offset(),
            ),
            None if content.size <= self.readable() => (Checksums::new(Hash::quick(), stored), 0, 0),
            None => (Checksums::new(Hash::kept(), stored), 0, 0),
        };
        if offset > 0 {
            content.skip_to(offset);
        }
        loop {
            if !self.has_time() {
                return Err(paused(&*decoder, &checksums, hashed));
            }
            for wanted in decoder.wanted() {
                match content.get(wanted.start, wanted.end).await {
                    Ok(read) => decoder.supply(wanted, read)?,
                    Err(Stop::Paused(_)) => return Err(paused(&*decoder, &checksums, hashed)),
                    Err(stop) => return Err(stop),
                }
            }
            let frames = match content.next().await {
                Err(Stop::Paused(_)) => return Err(paused(&*decoder, &checksums, hashed)),
                frames => frames?,
            };
            if frames.is_empty() {
                break;
            }
            let length: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
            // Bytes after the checkpoint that were hashed before a pause are only decoded again.
            let mut known = hashed.saturating_sub(offset);
            let pushed;
            (decoder, checksums, pushed) = blocking(move || {
                let mut pushed = Ok(());
                for frame in frames {
                    let skipped = known.min(frame.len() as u64);
                    known -= skipped;
                    checksums.update(&frame[skipped as usize..]);
                    pushed = decoder.push(&frame);
                    if pushed.is_err() {
                        break;
                    }
                }
                (decoder, checksums, pushed)
            })
            .await?;
            pushed?;
            self.bytes.fetch_add(length, Ordering::Relaxed);
            offset += length;
            hashed = hashed.max(offset);
        }
        if offset != content.size {
            return Err(Stop::Failed(Error::new(
                ErrorKind::Unavailable,
                format!("{offset} of {} bytes came", content.size),
            )));
        }
        // The decoder cannot be interrupted once it finishes.
        if !self.has_time_for(decoder.deferred()) {
            return Err(paused(&*decoder, &checksums, hashed));
        }
        let decoded = blocking(move || decoder.finish()).await??;
        Ok((decoded, checksums))
    }
}

/// A pause that keeps what was decoded and hashed, as far as possible.
fn paused(decoder: &dyn Decoder, checksums: &Checksums, hashed: u64) -> Stop {
    Stop::Paused(decoder.checkpoint().map(|checkpoint| {
        Box::new(match checksums.states() {
            Some(States { sha256, crc }) => Resume {
                checkpoint: Some(checkpoint),
                hashed,
                hash: Some(sha256),
                crc,
            },
            // Reading took longer than expected, and the state of this hash cannot be stored. The next reading begins
            // again, with a hash whose state can be stored.
            None => Resume {
                checkpoint: None,
                hashed: 0,
                hash: None,
                crc: None,
            },
        })
    }))
}

fn head_of<'a>(first: &'a Bytes, listed: &Listed) -> Head<'a> {
    let bytes = &first[..first.len().min(SNIFFED as usize)];
    Head {
        bytes,
        whole: bytes.len() as u64 == listed.size,
    }
}

/// Runs work that keeps a processor busy, so that other tasks go on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    heavy(work)
        .await
        .map_err(|_| Stop::from(Defect::new("made its decoder give up")))
}
