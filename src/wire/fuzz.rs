//! Bodies of the API, changed by chance: each is read or refused, and what was read says the same when it is written.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::api::{
    ApprovalDecision, ApprovalShown, DeviceAnswer, DeviceRequest, Empty, ErrorBody, ExplainRequest, Explanation,
    IssuerTokenRequest, MaskList, Me, OAuthError, OwnQuery, ServerInfo, SessionOpened, SessionRequest, TimelinePage,
    TimelineQuery, TokenRequest, UploadReceipt, UploadRequest,
};
use crate::domain::Chance;

/// A body of each kind that somebody sends.
const BODIES: [&str; 10] = [
    r#"{"resource":"prod-db","access":"read","purpose":"support.ticket","reference":"ZD-1","ttl_seconds":3600,
        "session_key":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","host":"alice@laptop","process":7,"version":"0.1.0"}"#,
    r#"{"reason":"as discussed"}"#,
    r#"{"envelopes":["{\"payloadType\":\"x\"}","\u00e9\ud83d\ude00"],"remembered":18446744073709551615}"#,
    r#"{"sql":"select 1","access":"write"}"#,
    r#"{"grant_type":"g","subject_token":"a.b.c","subject_token_type":"t","requested_actor":"bot"}"#,
    r#"{"client_id":"gov-cli","scope":"openid","gov_host":"h","gov_version":"1"}"#,
    r#"{"csrf":"x","user_code":"BCDF-GHJK","decision":"approve","user":"alice","number":"42"}"#,
    r#"{"error":{"kind":"denied","message":"no","detail":"Because.","hint":"ask"}}"#,
    r#"{"checkpoint":"log\n1\nAA==\n","inclusions":[{"leaf":0,"proof":["ab","cd"]}],"consistency":[]}"#,
    r#"{"error":"invalid_request","error_description":"why"}"#,
];

/// Reads a body as `T`; 1 when that goes well.
fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> usize {
    let Ok(body) = serde_json::from_slice::<T>(bytes) else { return 0 };
    let written = serde_json::to_vec(&body).unwrap();
    let again: T = serde_json::from_slice(&written).unwrap();
    let value = |body: &T| serde_json::to_value(body).unwrap();
    assert_eq!(value(&again), value(&body), "{}", String::from_utf8_lossy(bytes));
    1
}

/// A body of the API; how many of its kinds it can be read as.
pub(crate) fn bodies(bytes: &[u8]) -> usize {
    let readers: [fn(&[u8]) -> usize; 21] = [
        read::<SessionRequest>,
        read::<ApprovalDecision>,
        read::<UploadRequest>,
        read::<ExplainRequest>,
        read::<TokenRequest>,
        read::<DeviceRequest>,
        read::<IssuerTokenRequest>,
        read::<DeviceAnswer>,
        read::<TimelineQuery>,
        read::<OwnQuery>,
        read::<Empty>,
        // What a server says is read by clients, which believe it no more.
        read::<ErrorBody>,
        read::<OAuthError>,
        read::<UploadReceipt>,
        read::<ServerInfo>,
        read::<SessionOpened>,
        read::<TimelinePage>,
        read::<ApprovalShown>,
        read::<Explanation>,
        read::<MaskList>,
        read::<Me>,
    ];
    if let Ok(body) = serde_json::from_slice::<ErrorBody>(bytes) {
        drop(body.into_failure());
    }
    readers.iter().map(|reader| reader(bytes)).sum()
}

#[test]
fn fuzz_bodies_are_read_or_refused() {
    const ROUNDS: usize = 4_000;
    let mut chance = Chance::new(22);
    let count: usize = (0..ROUNDS).map(|_| bodies(&chance.mutate(&BODIES))).sum();
    println!("bodies: {count} readings of {ROUNDS} bodies went well");
    assert!(count > 0);
}

/// As deep as a body has room for: refused, and the stack is still there.
#[test]
fn fuzz_bodies_without_a_bottom_are_refused() {
    for text in ["[", "{\"a\":", "[{\"a\":"] {
        let deep = text.repeat(64 * 1024 / text.len());
        assert!(serde_json::from_slice::<Value>(deep.as_bytes()).is_err());
        assert_eq!(read::<TimelinePage>(format!("{{\"entries\":{deep}").as_bytes()), 0);
    }
}
