//! Applies the filters of a stream to its data.
//!
//! What must stay true: a deflated stream is inflated to its end and compared with its checksum (zlib's Adler-32), even
//! after other filters. A picture is not decoded, because its filters have no checksum. The size of the result is
//! limited. ISO 32000-2, 7.4.

use std::borrow::Cow;

use flate2::{Decompress, FlushDecompress, Status};

use super::lexer::{Dict, Value, is_space};

/// How many bytes are inflated at a time.
const SCRATCH: usize = 32 * 1024;

/// A filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Flate,
    Lzw {
        early: bool,
    },
    Ascii85,
    AsciiHex,
    RunLength,
    /// A filter of pictures. Nothing after it can be checked.
    Picture,
    /// Decryption, which was done before.
    Crypt,
}

/// Why data are not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Corrupt,
    /// There is a filter that PDF does not have.
    Unknown,
    /// The result is larger than the room for it.
    Large,
}

/// The result of the filters.
#[derive(Debug)]
pub(super) struct Unpacked<'a> {
    pub(super) data: Cow<'a, [u8]>,
    /// Whether a checksum is cut off, which viewers accept.
    pub(super) unchecked: bool,
}

/// A filter, and how its rows are predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    filter: Filter,
    predictor: Option<Predictor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Predictor {
    /// Bytes of a row and of a pixel.
    row: usize,
    pixel: usize,
}

/// The filters of a stream. `resolve` follows a reference.
pub(super) fn steps<'a>(dict: Dict<'a>, resolve: &impl Fn(Value<'a>) -> Value<'a>) -> Result<Vec<Step>, Fault> {
    let either = |short: &[u8], long: &[u8]| match resolve(dict.get(long)) {
        Value::Null => resolve(dict.get(short)),
        value => value,
    };
    let filters = match either(b"F", b"Filter") {
        Value::Null => return Ok(Vec::new()),
        Value::Array(array) => array.values().map(resolve).collect(),
        value => vec![value],
    };
    let mut parameters = match either(b"DP", b"DecodeParms") {
        Value::Array(array) => array.values().map(resolve).collect(),
        value => vec![value],
    };
    parameters.resize(filters.len(), Value::Null);
    let steps = filters.into_iter().zip(parameters);
    steps
        .map(|(filter, parameters)| step(&filter, parameters, resolve))
        .collect()
}

fn step<'a>(
    filter: &Value<'a>,
    parameters: Value<'a>,
    resolve: &impl Fn(Value<'a>) -> Value<'a>,
) -> Result<Step, Fault> {
    let Value::Name(name) = filter else {
        return Err(Fault::Unknown);
    };
    let number = |key: &[u8], usual: u64| match &parameters {
        Value::Dict(dict) => match resolve(dict.get(key)) {
            Value::Integer(number) => number,
            _ => usual,
        },
        _ => usual,
    };
    let filter = match &**name {
        b"FlateDecode" | b"Fl" => Filter::Flate,
        b"LZWDecode" | b"LZW" => Filter::Lzw {
            early: number(b"EarlyChange", 1) != 0,
        },
        b"ASCII85Decode" | b"A85" => Filter::Ascii85,
        b"ASCIIHexDecode" | b"AHx" => Filter::AsciiHex,
        b"RunLengthDecode" | b"RL" => Filter::RunLength,
        b"Crypt" => Filter::Crypt,
        b"DCTDecode" | b"DCT" | b"CCITTFaxDecode" | b"CCF" | b"JPXDecode" | b"JBIG2Decode" => Filter::Picture,
        _ => return Err(Fault::Unknown),
    };
    let has_rows = matches!(filter, Filter::Flate | Filter::Lzw { .. }) && number(b"Predictor", 1) >= 10;
    let pixel = number(b"Colors", 1).saturating_mul(number(b"BitsPerComponent", 8));
    let row = pixel.saturating_mul(number(b"Columns", 1));
    let bytes = |bits: u64| usize::try_from(bits.div_ceil(8)).unwrap_or(usize::MAX).max(1);
    let predictor = has_rows.then(|| Predictor {
        row: bytes(row),
        pixel: bytes(pixel),
    });
    Ok(Step { filter, predictor })
}

/// Applies the filters. `room` is how many bytes all of them may give. Without `keep` the final result is not kept.
pub(super) fn unpack<'a>(data: &'a [u8], steps: &[Step], room: &mut u64, keep: bool) -> Result<Unpacked<'a>, Fault> {
    let mut unpacked = Unpacked {
        data: Cow::Borrowed(data),
        unchecked: false,
    };
    for (number, step) in steps.iter().enumerate() {
        let kept = keep || number + 1 < steps.len();
        let new = match step.filter {
            Filter::Crypt => continue,
            Filter::Picture => break,
            Filter::Flate => {
                let (new, unchecked) = inflate(&unpacked.data, room, kept)?;
                unpacked.unchecked |= unchecked;
                new
            }
            Filter::Lzw { early } => lzw(&unpacked.data, early, room)?,
            Filter::Ascii85 => ascii85(&unpacked.data, room)?,
            Filter::AsciiHex => ascii_hex(&unpacked.data)?,
            Filter::RunLength => run_length(&unpacked.data, room)?,
        };
        unpacked.data = Cow::Owned(match step.predictor {
            Some(predictor) if kept => predicted(&new, predictor)?,
            _ => new,
        });
    }
    Ok(unpacked)
}

fn take(room: &mut u64, bytes: usize) -> Result<(), Fault> {
    *room = room.checked_sub(bytes as u64).ok_or(Fault::Large)?;
    Ok(())
}

/// Inflates zlib, and says whether the checksum is cut off.
fn inflate(data: &[u8], room: &mut u64, keep: bool) -> Result<(Vec<u8>, bool), Fault> {
    // Some writers write an empty stream like this.
    if data.iter().all(|byte| is_space(*byte)) && data.len() <= 2 {
        return Ok((Vec::new(), false));
    }
    let [method, flags, deflated @ ..] = data else {
        return Err(Fault::Corrupt);
    };
    let header = u16::from_be_bytes([*method, *flags]);
    if method & 0x0f != 8 || header % 31 != 0 || flags & 0x20 != 0 {
        return Err(Fault::Corrupt);
    }
    let mut inflate = Decompress::new(false);
    let mut scratch = vec![0; SCRATCH];
    let mut sum = Adler::default();
    let mut kept = Vec::new();
    loop {
        let (read, written) = (inflate.total_in(), inflate.total_out());
        let result = inflate.decompress(&deflated[read as usize..], &mut scratch, FlushDecompress::None);
        let new = &scratch[..(inflate.total_out() - written) as usize];
        take(room, new.len())?;
        sum.update(new);
        if keep {
            kept.extend_from_slice(new);
        }
        match result {
            Ok(Status::StreamEnd) => break,
            Ok(_) if !new.is_empty() || inflate.total_in() > read => {}
            _ => return Err(Fault::Corrupt),
        }
    }
    let rest = &deflated[inflate.total_in() as usize..];
    let expected = sum.value().to_be_bytes();
    let same = expected.iter().zip(rest).take_while(|(a, b)| a == b).count();
    if same == 4 {
        return Ok((kept, false));
    }
    // Some writers leave out bytes of the checksum, most often those that are zero, and a line break may be in their
    // place.
    let is_off = rest.len() < 4 || expected[same..].iter().all(|byte| *byte == 0);
    if is_off && rest[same..].iter().all(|byte| is_space(*byte)) {
        return Ok((kept, true));
    }
    Err(Fault::Corrupt)
}

/// Adler-32 by RFC 1950.
struct Adler(u32, u32);

impl Default for Adler {
    fn default() -> Self {
        Self(1, 0)
    }
}

impl Adler {
    fn update(&mut self, bytes: &[u8]) {
        // As many bytes as keep the sums within 32 bits.
        for chunk in bytes.chunks(5_552) {
            for byte in chunk {
                self.0 += u32::from(*byte);
                self.1 += self.0;
            }
            self.0 %= 65_521;
            self.1 %= 65_521;
        }
    }

    fn value(&self) -> u32 {
        (self.1 << 16) | self.0
    }
}

fn ascii85(data: &[u8], room: &mut u64) -> Result<Vec<u8>, Fault> {
    let data = data.trim_ascii_start();
    let data = data.strip_prefix(b"<~").unwrap_or(data);
    let mut new = Vec::with_capacity(data.len() / 5 * 4 + 4);
    let mut group = [b'u'; 5];
    let mut length = 0;
    for byte in data {
        match byte {
            byte if is_space(*byte) => continue,
            b'z' if length == 0 => {
                take(room, 4)?;
                new.extend([0; 4]);
            }
            b'!'..=b'u' => {
                group[length] = *byte;
                length += 1;
            }
            b'~' => break,
            _ => return Err(Fault::Corrupt),
        }
        if length == 5 {
            new.extend(word85(group)?);
            length = 0;
        }
    }
    match length {
        0 => {}
        1 => return Err(Fault::Corrupt),
        _ => {
            group[length..].fill(b'u');
            new.extend(&word85(group)?[..length - 1]);
        }
    }
    Ok(new)
}

fn word85(group: [u8; 5]) -> Result<[u8; 4], Fault> {
    let digits = group.map(|byte| u64::from(byte - b'!'));
    let value = digits.iter().fold(0, |value, digit| value * 85 + digit);
    u32::try_from(value).map(u32::to_be_bytes).map_err(|_| Fault::Corrupt)
}

fn ascii_hex(data: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut new = Vec::with_capacity(data.len() / 2);
    let mut high = None;
    for byte in data
        .iter()
        .filter(|byte| !is_space(**byte))
        .take_while(|byte| **byte != b'>')
    {
        let digit = char::from(*byte).to_digit(16).ok_or(Fault::Corrupt)? as u8;
        match high.take() {
            Some(high) => new.push(high << 4 | digit),
            None => high = Some(digit),
        }
    }
    new.extend(high.map(|high| high << 4));
    Ok(new)
}

fn run_length(data: &[u8], room: &mut u64) -> Result<Vec<u8>, Fault> {
    let mut new = Vec::new();
    let mut rest = data;
    while let [length, tail @ ..] = rest {
        let length = usize::from(*length);
        rest = tail;
        if length == 128 {
            break;
        }
        if length < 128 {
            let (run, behind) = rest.split_at_checked(length + 1).ok_or(Fault::Corrupt)?;
            take(room, run.len())?;
            new.extend_from_slice(run);
            rest = behind;
        } else {
            let [byte, behind @ ..] = rest else {
                return Err(Fault::Corrupt);
            };
            take(room, 257 - length)?;
            new.resize(new.len() + 257 - length, *byte);
            rest = behind;
        }
    }
    Ok(new)
}

fn lzw(data: &[u8], early: bool, room: &mut u64) -> Result<Vec<u8>, Fault> {
    const CLEAR: usize = 256;
    const END: usize = 257;
    let mut new: Vec<u8> = Vec::new();
    // Where in `new` each string of the table is. The strings of one byte come before them.
    let mut table: Vec<(usize, usize)> = Vec::new();
    let mut before: Option<(usize, usize)> = None;
    let (mut bits, mut count, mut width) = (0_u32, 0, 9);
    for byte in data {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        if count < width {
            continue;
        }
        count -= width;
        let code = (bits >> count) as usize & ((1 << width) - 1);
        bits &= (1 << count) - 1;
        let begin = new.len();
        match code {
            CLEAR => {
                table.clear();
                before = None;
                width = 9;
                continue;
            }
            END => return Ok(new),
            code if code < CLEAR => {
                take(room, 1)?;
                new.push(code as u8);
            }
            code => {
                let (from, length) = match (table.get(code - END - 1), before) {
                    (Some(string), _) => *string,
                    // The string that this code itself completes: the previous one and its first byte.
                    (None, Some((from, length))) if code - END - 1 == table.len() => (from, length + 1),
                    _ => return Err(Fault::Corrupt),
                };
                take(room, length)?;
                for at in from..from + length {
                    new.push(new[at]);
                }
            }
        }
        // The previous string and the first byte of this one are side by side.
        if let Some((from, length)) = before
            && table.len() < 4096 - END - 1
        {
            table.push((from, length + 1));
        }
        before = Some((begin, new.len() - begin));
        width = match table.len() + END + 1 + usize::from(early) {
            0..512 => 9,
            512..1024 => 10,
            1024..2048 => 11,
            _ => 12,
        };
    }
    Ok(new)
}

/// Undoes the predictors of PNG.
fn predicted(data: &[u8], Predictor { row, pixel }: Predictor) -> Result<Vec<u8>, Fault> {
    let mut new: Vec<u8> = Vec::with_capacity(data.len());
    let mut above = Vec::new();
    for line in data.chunks(row.saturating_add(1)) {
        let (kind, line) = (line[0], &line[1..]);
        let begin = new.len();
        for (at, byte) in line.iter().enumerate() {
            let left = at.checked_sub(pixel).map_or(0, |at| new[begin + at]);
            let up = above.get(at).copied().unwrap_or(0);
            let corner = at.checked_sub(pixel).and_then(|at| above.get(at)).copied().unwrap_or(0);
            let guess = match kind {
                0 => 0,
                1 => left,
                2 => up,
                3 => u16::midpoint(left.into(), up.into()) as u8,
                4 => paeth(left, up, corner),
                _ => return Err(Fault::Corrupt),
            };
            new.push(byte.wrapping_add(guess));
        }
        above = new[begin..].to_vec();
    }
    Ok(new)
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let guess = i16::from(left) + i16::from(up) - i16::from(corner);
    let far = |from: u8| (guess - i16::from(from)).abs();
    if far(left) <= far(up) && far(left) <= far(corner) {
        left
    } else if far(up) <= far(corner) {
        up
    } else {
        corner
    }
}
