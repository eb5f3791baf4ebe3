//! Tells X-Ray about an invocation.
//!
//! What must stay true: the annotations are the fields of the log ([`crate::span`]), and nothing else is sent. No
//! invocation waits for X-Ray or fails because of it. An invocation that is not traced sends nothing.
//!
//! Lambda makes a segment for each invocation, but only the function can add annotations. So the function sends a
//! subsegment of Lambda's segment, as one datagram, to the daemon that Lambda runs beside it. Traces can then be
//! searched by `annotation.job_key`.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, UdpSocket},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::hash::sha256_hex;

/// Each datagram begins with this.
const HEADER: &str = "{\"format\": \"json\", \"version\": 1}\n";

/// The longest annotation that X-Ray accepts, in characters.
const MAX_ANNOTATION: usize = 1000;

/// The daemon that gets the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Daemon(pub SocketAddr);

/// The segment that Lambda made for an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    trace: &'a str,
    parent: &'a str,
}

impl<'a> Segment<'a> {
    /// Reads a tracing header, such as `Root=1-…;Parent=…;Sampled=1`. `None` if the invocation is not traced.
    pub fn of_header(header: &'a str) -> Option<Self> {
        let value = |name: &str| header.split(';').find_map(|part| part.trim().strip_prefix(name));
        let segment = Self {
            trace: value("Root=")?,
            parent: value("Parent=")?,
        };
        (value("Sampled=") == Some("1")).then_some(segment)
    }

    /// The invocation's subsegment.
    pub fn document(
        self,
        began: SystemTime,
        ended: SystemTime,
        failed: bool,
        fields: &BTreeMap<&str, String>,
    ) -> Value {
        let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let annotations: BTreeMap<_, _> = fields
            .iter()
            .map(|(name, value)| (*name, value.chars().take(MAX_ANNOTATION).collect::<String>()))
            .collect();
        let state = fields.get("state").map_or("invocation", String::as_str);
        let seed = format!("{}/{}/{}", self.trace, self.parent, seconds(began));
        json!({
            "name": format!("Landfall {state}"),
            "id": &sha256_hex(seed.as_bytes())[..16],
            "trace_id": self.trace,
            "parent_id": self.parent,
            "type": "subsegment",
            "start_time": seconds(began),
            "end_time": seconds(ended),
            "fault": failed,
            "annotations": annotations,
        })
    }
}

impl Daemon {
    /// Sends a subsegment. If that fails, it is only logged, because nothing but the trace needs it.
    pub fn send(self, document: &Value) {
        let datagram = format!("{HEADER}{document}");
        let sent = UdpSocket::bind(("0.0.0.0", 0)).and_then(|socket| socket.send_to(datagram.as_bytes(), self.0));
        if let Err(why) = sent {
            tracing::debug!(why = %why.kind(), "X-Ray is not told of the invocation");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HEADER_OF_LAMBDA: &str =
        "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0";

    #[test]
    fn only_sampled_traces_are_sent() {
        assert!(Segment::of_header(HEADER_OF_LAMBDA).is_some());
        for other in [
            "",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
        ] {
            assert_eq!(Segment::of_header(other), None, "{other}");
        }
    }

    /// As in the documents of X-Ray, a segment has hex ids, times in seconds, and annotations whose names are letters,
    /// digits and underscores.
    #[test]
    fn a_subsegment_is_one_datagram_with_the_fields_of_the_log() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let fields = BTreeMap::from([
            ("state", "Poll".to_owned()),
            ("job_key", "20261101T050000Z-0123abcd".to_owned()),
            ("export", "n".repeat(2_000)),
        ]);
        let began = UNIX_EPOCH + Duration::from_millis(1_793_500_000_250);
        let segment = Segment::of_header(HEADER_OF_LAMBDA).unwrap();
        let document = segment.document(began, began + Duration::from_millis(500), false, &fields);
        Daemon(daemon.local_addr().unwrap()).send(&document);
        let mut datagram = [0; 65_507];
        let length = daemon.recv(&mut datagram).unwrap();
        let text = std::str::from_utf8(&datagram[..length]).unwrap();
        let (header, body) = text.split_once('\n').unwrap();
        let header: Value = serde_json::from_str(header).unwrap();
        assert_eq!(header, json!({"format": "json", "version": 1}));
        let sent: Value = serde_json::from_str(body).unwrap();
        let id = sent["id"].as_str().unwrap();
        assert!(
            id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id}"
        );
        assert_eq!(
            (&sent["trace_id"], &sent["parent_id"], &sent["type"]),
            (
                &json!("1-5759e988-bd862e3fe1be46a994272793"),
                &json!("53995c3f42cd8ad8"),
                &json!("subsegment")
            )
        );
        assert_eq!(
            (&sent["start_time"], &sent["end_time"], &sent["fault"]),
            (&json!(1_793_500_000.25), &json!(1_793_500_000.75), &json!(false))
        );
        assert_eq!(sent["name"], "Landfall Poll");
        assert_eq!(sent["annotations"]["job_key"], fields["job_key"]);
        assert_eq!(
            sent["annotations"]["export"].as_str().map(str::len),
            Some(MAX_ANNOTATION)
        );
    }
}
