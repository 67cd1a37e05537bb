//! PostgreSQL's protocol from a client that is not ours and does as the test likes, also what no driver would send.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long one answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection that has logged in.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: UnixStream,
    /// What a cancel request for this connection must show: the process and its key.
    pub(crate) cancel: (u32, Vec<u8>),
}

/// A message as a script shows it: its type, and what tells it apart from others of its type.
pub(crate) fn shown(tag: u8, body: &[u8]) -> String {
    let tag = char::from(tag);
    match tag {
        'E' => format!("E {}", Complaint::read(body).sqlstate),
        'Z' => format!("Z {}", char::from(body[0])),
        'C' => format!("C {}", String::from_utf8_lossy(&body[..body.len() - 1])),
        tag => tag.to_string(),
    }
}

/// What came back for one request, up to readiness or the end of the connection.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) errors: Vec<Complaint>,
    pub(crate) notices: Vec<Complaint>,
    /// Tags of the commands that succeeded.
    pub(crate) tags: Vec<String>,
    /// Rows of all results, values as text; `None` is NULL.
    pub(crate) rows: Vec<Vec<Option<String>>>,
    /// Messages of COPY data, which are rows.
    pub(crate) copied: u16,
    /// What stands in them.
    pub(crate) copy: Box<[u8]>,
    /// The connection ended instead of becoming ready.
    pub(crate) closed: bool,
}

/// An error or a notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    pub(crate) detail: String,
    pub(crate) hint: String,
    /// Where in the statement, in characters from 1, as it was said.
    pub(crate) position: String,
    /// The part of the server that spoke: `gov_hold` and `gov_deny` are the gateway's.
    pub(crate) routine: String,
}

impl Complaint {
    /// The guardrail that spoke; none when it was the database itself.
    pub(crate) fn rule(&self) -> Option<&str> {
        self.detail.rsplit_once("Rule: ")?.1.strip_suffix('.')
    }

    fn read(body: &[u8]) -> Self {
        let mut complaint = Self::default();
        for field in body.split(|byte| *byte == 0).filter(|field| !field.is_empty()) {
            let text = String::from_utf8_lossy(&field[1..]).into_owned();
            match field[0] {
                b'C' => complaint.sqlstate = text,
                b'M' => complaint.message = text,
                b'D' => complaint.detail = text,
                b'H' => complaint.hint = text,
                b'P' => complaint.position = text,
                b'R' => complaint.routine = text,
                _ => {}
            }
        }
        complaint
    }
}

impl Wire {
    /// Logs in at a socket that asks for no password. Why not, if not.
    pub(crate) fn open(socket: &Path, parameters: &[(&str, &str)]) -> Result<Self, Answer> {
        let mut wire = Self::dial(socket);
        wire.begin((3, 0), parameters);
        let answer = wire.answer();
        if answer.closed || !answer.errors.is_empty() { Err(answer) } else { Ok(wire) }
    }

    /// Connects, and says nothing yet.
    pub(crate) fn dial(socket: &Path) -> Self {
        Self::over(UnixStream::connect(socket).unwrap())
    }

    /// A connection that is there already.
    pub(crate) fn over(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, cancel: (0, Vec::new()) }
    }

    /// The first packet of a connection, for this version of the protocol.
    pub(crate) fn begin(&mut self, (major, minor): (u16, u16), parameters: &[(&str, &str)]) {
        let mut body = [major.to_be_bytes(), minor.to_be_bytes()].concat();
        for (name, value) in parameters {
            body.extend(name.bytes().chain([0]).chain(value.bytes()).chain([0]));
        }
        body.push(0);
        self.packet(&body);
    }

    /// Asks, on a connection of its own, for what another one runs to be cancelled. Back when the request was taken.
    pub(crate) fn cancel(socket: &Path, process: u32, key: &[u8]) {
        let mut wire = Self::dial(socket);
        wire.packet(&[&80_877_102_u32.to_be_bytes()[..], &process.to_be_bytes(), key].concat());
        assert!(wire.next().is_none(), "a cancel request is not answered");
    }

    /// A message without a type, as connections begin with.
    pub(crate) fn packet(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap();
        self.send_raw(&[&length.to_be_bytes()[..], body].concat());
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        // Whoever has hung up already needs not be told.
        drop(self.stream.shutdown(std::net::Shutdown::Write));
    }

    /// The other half of the connection, for a thread that only sends.
    pub(crate) fn second(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap(), cancel: self.cancel.clone() }
    }

    /// The next message; none at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        let mut body = Vec::new();
        let read = self.stream.read_exact(&mut head).and_then(|()| {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            body.resize(usize::try_from(length).unwrap() - 4, 0);
            self.stream.read_exact(&mut body)
        });
        if let Err(error) = read {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no answer in time");
            return None;
        }
        Some((head[0], body))
    }

    /// Sends bytes as they are. A peer that hangs up on them is an answer too.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes));
    }

    pub(crate) fn send(&mut self, tag: u8, body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap();
        self.send_raw(&[&[tag][..], &length.to_be_bytes(), body].concat());
    }

    /// One simple query.
    pub(crate) fn simple(&mut self, text: &[u8]) -> Answer {
        self.send(b'Q', &[text, &[0]].concat());
        self.answer()
    }

    /// One statement with its values, as a driver sends it.
    pub(crate) fn extended(&mut self, text: &[u8], values: &[&str]) -> Answer {
        self.send_extended(text, values);
        self.send(b'S', &[]);
        self.answer()
    }

    /// Parse, Bind, Describe and Execute, without the Sync.
    pub(crate) fn send_extended(&mut self, text: &[u8], values: &[&str]) {
        self.send(b'P', &[&[0][..], text, &[0, 0, 0]].concat());
        let mut bind = vec![0, 0, 0, 0];
        bind.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
        for value in values {
            bind.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            bind.extend(value.bytes());
        }
        bind.extend([0, 0]);
        self.send(b'B', &bind);
        self.send(b'D', b"P\0");
        self.send(b'E', &[0, 0, 0, 0, 0]);
    }

    /// A call of function number `oid` without arguments, past SQL.
    pub(crate) fn fast_path(&mut self, oid: u32) -> Answer {
        self.send(b'F', &[&oid.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0]].concat());
        self.answer()
    }

    /// Everything up to readiness. A request for COPY data gets none.
    pub(crate) fn answer(&mut self) -> Answer {
        let (mut answer, mut copy) = (Answer::default(), Vec::new());
        loop {
            let Some((tag, body)) = self.next() else {
                answer.closed = true;
                answer.copy = copy.into();
                return answer;
            };
            match tag {
                b'K' => {
                    let (process, key) = body.split_first_chunk().unwrap();
                    self.cancel = (u32::from_be_bytes(*process), key.to_vec());
                }
                b'E' => answer.errors.push(Complaint::read(&body)),
                b'N' => answer.notices.push(Complaint::read(&body)),
                b'C' => answer.tags.push(String::from_utf8_lossy(&body[..body.len() - 1]).into_owned()),
                b'D' => answer.rows.push(row(&body)),
                b'd' => {
                    answer.copied += 1;
                    copy.extend_from_slice(&body);
                }
                b'G' => self.send(b'f', b"no data\0"),
                b'Z' => {
                    answer.copy = copy.into();
                    return answer;
                }
                _ => {}
            }
        }
    }
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let mut rest = &body[2..];
    let mut values = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                values.push(Some(String::from_utf8_lossy(&behind[..length]).into_owned()));
                rest = &behind[length..];
            }
            Err(_) => {
                values.push(None);
                rest = behind;
            }
        }
    }
    values
}
