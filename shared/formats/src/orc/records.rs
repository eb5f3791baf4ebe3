//! The records of the footers, which are protobuf messages.
//!
//! What must stay true: the elements of a list are counted before they are decoded, because two of its bytes may stand
//! for hundreds of bytes in memory. Fields that are not needed are not decoded.

use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field},
};

/// A field of a message, or one element of a field that is a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    /// The number of the field.
    pub(super) number: u32,
    /// The complete field, so that a message can merge it.
    pub(super) bytes: &'a [u8],
}

impl Record<'_> {
    /// Decodes the record as a message, but only its fields with these numbers.
    pub(super) fn decode<M: Message + Default>(self, fields: &[u32]) -> Result<M, DecodeError> {
        let mut inner = self.bytes;
        let (_, wire_type) = decode_key(&mut inner)?;
        check_wire_type(WireType::LengthDelimited, wire_type)?;
        // The length was compared with the bytes when they were cut.
        decode_varint(&mut inner)?;
        let mut message = M::default();
        while let Some(record) = next(&mut inner)? {
            if fields.contains(&record.number) {
                message.merge(record.bytes)?;
            }
        }
        Ok(message)
    }
}

/// Cuts off the next record of a message; `None` at the end.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<Record<'a>>, DecodeError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let all = *rest;
    let (number, wire_type) = decode_key(rest)?;
    skip_field(wire_type, number, rest, DecodeContext::default())?;
    Ok(Some(Record {
        number,
        bytes: &all[..all.len() - rest.len()],
    }))
}

#[cfg(test)]
mod tests {

    use super::{super::proto, *};

    fn numbers(mut message: &[u8]) -> Result<Vec<u32>, DecodeError> {
        let mut numbers = Vec::new();
        while let Some(record) = next(&mut message)? {
            numbers.push(record.number);
        }
        Ok(numbers)
    }

    #[test]
    fn protobuf_records_of_every_wire_type_are_split() {
        // A varint, 64 bits, a text, a group with a varint, and 32 bits.
        let message = [
            &[0x08, 0x80, 0x01][..],
            &[0x11, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x1a, 2, b'a', b'b'],
            &[0x23, 0x08, 0x01, 0x24],
            &[0x2d, 1, 2, 3, 4],
        ]
        .concat();
        assert_eq!(numbers(&message).unwrap(), [1, 2, 3, 4, 5]);
        let ends = [0, 3, 12, 16, 20, 25];
        for end in 0..=message.len() {
            assert_eq!(numbers(&message[..end]).is_ok(), ends.contains(&end), "{end}");
        }
        // An unknown field, an unknown type, an end without a begin, and a length beyond all bytes.
        for broken in [
            &[0x00, 0x00][..],
            &[0x0e, 0x00],
            &[0x0c],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            numbers(broken).unwrap_err();
        }
    }

    #[test]
    fn only_the_asked_fields_of_a_message_are_decoded() {
        // Written with the complete messages of another reader.
        let footer = orc_rust::proto::Footer {
            stripes: vec![orc_rust::proto::StripeInformation {
                offset: Some(3),
                data_length: Some(300),
                encrypted_local_keys: vec![vec![]; 100],
                ..orc_rust::proto::StripeInformation::default()
            }],
            ..orc_rust::proto::Footer::default()
        };
        let bytes = footer.encode_to_vec();
        let record = next(&mut bytes.as_slice()).unwrap().unwrap();
        assert_eq!((record.number, record.bytes), (3, bytes.as_slice()));
        let of = |fields: &[u32]| record.decode::<proto::StripeInformation>(fields).unwrap();
        let length_alone = proto::StripeInformation {
            data_length: Some(300),
            ..proto::StripeInformation::default()
        };
        assert_eq!(of(&[3]), length_alone);
        assert_eq!(
            of(&[1, 3, 7]),
            proto::StripeInformation {
                offset: Some(3),
                ..length_alone
            }
        );
        // Bytes that are not a message are refused.
        let bytes = [0x18, 0x01];
        let number = next(&mut bytes.as_slice()).unwrap().unwrap();
        number.decode::<proto::StripeInformation>(&[1]).unwrap_err();
    }
}
