//! Reads records: strictly where a member has a meaning here, and leaving alone what it does not know.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::domain::{Digest, PublicKey, RecordId, SessionId, Side, StatementId, TextKeyId, Timestamp};

/// Why a record was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum RecordError {
    #[error("it is not a JSON object of the members a record has ({0})")]
    Shape(String),
    #[error("its `{0}` is not what a record has there")]
    Member(&'static str),
}

/// A record as it was read. What only people look at stays in the text it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Core {
    pub(crate) id: RecordId,
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) kind: String,
    pub(crate) session: Option<SessionId>,
    pub(crate) side: Side,
    pub(crate) statement: Option<StatementId>,
    pub(crate) subject: Option<String>,
    pub(crate) actors: Vec<String>,
    pub(crate) purpose: Option<String>,
    pub(crate) reference: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) asked: Option<Asked>,
    pub(crate) decided: Option<Decided>,
    pub(crate) happened: Option<Happened>,
    /// In a record about another key's chain: which.
    pub(crate) of: Option<Of>,
    /// Why, in a word, where there is one.
    pub(crate) why: Option<String>,
    /// What was read, where the log was.
    pub(crate) what: Option<String>,
    /// In a session's opening: what kind of identity, and for reading or writing.
    pub(crate) identity_kind: Option<String>,
    pub(crate) access: Option<String>,
    /// Where its session is masked.
    pub(crate) masking: Option<String>,
    /// In a session's opening: the masked columns it is to see as they are.
    pub(crate) reveal: Vec<String>,
    /// The approval it is about, or runs by.
    pub(crate) approval: Option<String>,
    /// What an approval is about, in a word.
    pub(crate) about: Option<String>,
    /// Of evidence: the SHA-256 of the list of what is in it.
    pub(crate) digest: Option<Digest>,
    /// Where the raw text is, sealed.
    pub(crate) raw: Option<Raw>,
    /// Keys of raw texts that have been destroyed.
    pub(crate) destroyed: Vec<TextKeyId>,
}

/// What a record says of the raw text that lies beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    /// SHA-256 of the sealed text.
    pub(crate) digest: Digest,
    pub(crate) key: TextKeyId,
}

/// What was asked of the database.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Asked {
    /// HMAC of the raw bytes under the session's text key.
    #[serde(deserialize_with = "digest")]
    pub(crate) hmac: Digest,
    #[serde(rename = "norm")]
    pub(crate) text: String,
    #[serde(rename = "op")]
    pub(crate) operations: Vec<String>,
    #[serde(rename = "objs")]
    pub(crate) relations: Vec<Object>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// Functions that nobody had reviewed. Records from before they were said have none.
    #[serde(default, rename = "funcs")]
    pub(crate) functions: Vec<Called>,
    pub(crate) parse: String,
    pub(crate) bytes: u64,
}

/// A relation and how it is used.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Object {
    #[serde(default)]
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) touch: String,
}

/// A function that a statement runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Called {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) body: Option<String>,
}

/// What the engine decided.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) action: String,
    pub(crate) rules: Vec<(String, String)>,
    #[serde(default, deserialize_with = "some_digest")]
    pub(crate) policy: Option<Digest>,
    pub(crate) engine: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Happened {
    pub(crate) outcome: String,
    #[serde(default)]
    pub(crate) sqlstate: Option<String>,
    #[serde(default)]
    pub(crate) rows: u64,
    #[serde(default)]
    pub(crate) bytes: u64,
    #[serde(default)]
    pub(crate) dur_us: u64,
    #[serde(default)]
    pub(crate) masked_cols: u64,
    #[serde(default)]
    pub(crate) masked_cells: u64,
    /// What the columns hold whose values went out masked, and as they are.
    #[serde(default)]
    pub(crate) masked: Vec<String>,
    #[serde(default)]
    pub(crate) clear: Vec<String>,
}

impl Happened {
    /// Nobody saw how it ended.
    pub(crate) fn is_unknown(&self) -> bool {
        self.outcome == "unknown"
    }
}

/// What another key's chain is completed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Of {
    /// The key whose record or statement is meant.
    pub(crate) key: PublicKey,
    /// The text of a record of that key that was found unsigned.
    pub(crate) record: Option<String>,
}

/// The members as they stand in the text. A member given twice is an error, so that no two readers can take
/// different ones.
#[derive(Deserialize)]
struct Shape<'a> {
    id: Cow<'a, str>,
    seq: u64,
    ts: Cow<'a, str>,
    kind: Cow<'a, str>,
    #[serde(default)]
    sid: Option<Cow<'a, str>>,
    side: Cow<'a, str>,
    #[serde(default)]
    stid: Option<Cow<'a, str>>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    act: Vec<ActorShape>,
    #[serde(default)]
    purp: Option<PurposeShape>,
    #[serde(default)]
    db: Option<DatabaseShape>,
    #[serde(default)]
    q: Option<Asked>,
    #[serde(default)]
    dec: Option<Decided>,
    #[serde(default)]
    res: Option<Happened>,
    #[serde(default, borrow)]
    of: Option<OfShape<'a>>,
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    what: Option<String>,
    #[serde(default, rename = "type")]
    identity_kind: Option<String>,
    #[serde(default)]
    access: Option<String>,
    masking: Option<String>,
    #[serde(default)]
    reveal: Vec<String>,
    #[serde(default)]
    appr: Option<ApprovalShape>,
    #[serde(default, deserialize_with = "some_digest")]
    digest: Option<Digest>,
    #[serde(default)]
    pay: Option<RawShape>,
    #[serde(default)]
    kids: Vec<String>,
}

#[derive(Deserialize)]
struct RawShape {
    #[serde(rename = "cid", deserialize_with = "digest")]
    digest: Digest,
    #[serde(rename = "kid")]
    key: String,
}

#[derive(Deserialize)]
struct ActorShape {
    id: String,
}

#[derive(Deserialize)]
struct PurposeShape {
    id: String,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
}

#[derive(Deserialize)]
struct ApprovalShape {
    id: String,
    #[serde(default)]
    about: Option<String>,
}

#[derive(Deserialize)]
struct DatabaseShape {
    resource: String,
}

#[derive(Deserialize)]
struct OfShape<'a> {
    key: String,
    #[serde(default, borrow)]
    record: Option<&'a RawValue>,
}

impl Core {
    /// Reads one line.
    pub(crate) fn parse(line: &str) -> Result<Self, RecordError> {
        let shape: Shape<'_> = serde_json::from_str(line).map_err(|error| RecordError::Shape(error.to_string()))?;
        let session = match &shape.sid {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| RecordError::Member("sid"))?),
        };
        let statement = match &shape.stid {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| RecordError::Member("stid"))?),
        };
        let (approval, about) = shape.appr.map_or((None, None), |approval| (Some(approval.id), approval.about));
        let purpose = shape.purp;
        let (purpose, reference) = purpose.map_or((None, None), |purpose| (Some(purpose.id), purpose.reference));
        Ok(Self {
            id: shape.id.parse().map_err(|_| RecordError::Member("id"))?,
            seq: shape.seq,
            at: Timestamp::parse(&shape.ts).ok_or(RecordError::Member("ts"))?,
            kind: shape.kind.into_owned(),
            session,
            side: Side::parse(&shape.side).ok_or(RecordError::Member("side"))?,
            statement,
            subject: shape.sub,
            actors: shape.act.into_iter().map(|actor| actor.id).collect(),
            purpose,
            reference,
            resource: shape.db.map(|database| database.resource),
            asked: shape.q,
            decided: shape.dec,
            happened: shape.res,
            of: shape.of.as_ref().map(of).transpose()?,
            why: shape.why,
            what: shape.what,
            identity_kind: shape.identity_kind,
            access: shape.access,
            masking: shape.masking,
            reveal: shape.reveal,
            approval,
            about,
            digest: shape.digest,
            raw: shape.pay.as_ref().map(raw).transpose()?,
            destroyed: shape.kids.iter().map(|id| key_id(id, "kids")).collect::<Result<_, _>>()?,
        })
    }
}

fn of(shape: &OfShape<'_>) -> Result<Of, RecordError> {
    let key = PublicKey::parse(&shape.key).ok_or(RecordError::Member("of"))?;
    Ok(Of { key, record: shape.record.map(|record| record.get().to_owned()) })
}

fn raw(shape: &RawShape) -> Result<Raw, RecordError> {
    Ok(Raw { digest: shape.digest, key: key_id(&shape.key, "pay")? })
}

fn key_id(text: &str, member: &'static str) -> Result<TextKeyId, RecordError> {
    TextKeyId::parse(text).ok_or(RecordError::Member(member))
}

fn digest<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
    let text = Cow::<'de, str>::deserialize(deserializer)?;
    Digest::parse(&text).ok_or_else(|| serde::de::Error::custom("not a SHA-256 value"))
}

fn some_digest<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    digest(deserializer).map(Some)
}
