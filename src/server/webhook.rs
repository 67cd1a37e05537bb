//! Tells others about approvals: each change of state is posted, signed, to the addresses in the configuration.
//!
//! A message says who asks for what and where to look; it never holds the statement's text or values. An address that does
//! not answer costs three tries, and the approval waits for nobody. What was not told when the server ended is told when
//! it is back; then a message may come twice.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderName};
use ring::hmac;
use serde_json::json;
use tokio::sync::mpsc;
use tracing::warn;

use super::approval::{self, Approval, Made};
use super::config::{Webhook, WebhookForm};
use super::store::Store;
use crate::domain::{ApprovalState, Duration, Failure, Timestamp};
use crate::runtime::tls::Trust;
use crate::runtime::{clock, http};

/// Messages that may wait for slow addresses. More wait in the store.
const WAITING_MAX: usize = 256;

/// Tries for one message, and the wait before the second; it doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 under the address's secret over the seconds, a dot, and the body. The time keeps an old
/// message from being played again.
const SIGNATURE: HeaderName = HeaderName::from_static("gov-signature");

/// What is to be told.
#[derive(Debug)]
struct News {
    /// As it is now.
    approval: Approval,
    made: Made,
}

/// What became of news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handed {
    On,
    /// There is nobody to tell.
    Nobody,
    /// Too much waits to be told.
    Back,
}

/// The addresses that are told.
#[derive(Clone, Debug)]
pub(crate) struct Webhooks {
    news: Option<mpsc::Sender<Box<News>>>,
}

impl Webhooks {
    /// Starts telling. Ends when the last handle is dropped.
    pub(crate) fn start(hooks: &[Webhook], store: &Arc<Store>) -> Result<Self, Failure> {
        if hooks.is_empty() {
            return Ok(Self { news: None });
        }
        let clients = hooks
            .iter()
            .map(|hook| Ok((hook.clone(), http::foreign_client(&Trust::System, &hook.url)?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let (sender, mut inbox) = mpsc::channel::<Box<News>>(WAITING_MAX);
        let store = Arc::clone(store);
        tokio::spawn(async move {
            while let Some(news) = inbox.recv().await {
                for (hook, client) in &clients {
                    tell(hook, client, &news).await;
                }
                approval::told(&store, &news.made).await;
            }
        });
        Ok(Self { news: Some(sender) })
    }

    /// Has others told of a move.
    pub(crate) fn tell(&self, approval: Approval, made: Made) -> Handed {
        match self.news.as_ref().map(|news| news.try_send(Box::new(News { approval, made }))) {
            None => Handed::Nobody,
            Some(Ok(())) => Handed::On,
            Some(Err(_)) => Handed::Back,
        }
    }
}

async fn tell(hook: &Webhook, client: &reqwest::Client, news: &News) {
    let body = body(hook.form, news);
    let mut pause = PAUSE;
    for attempt in 1..=TRIES {
        let request = client
            .post(hook.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE, signature(hook, clock::now(), &body))
            .body(body.clone());
        let trouble = match http::send(request).await {
            Ok(answer) if answer.status.is_success() => return,
            Ok(answer) => format!("it answered {}", answer.status.as_u16()),
            Err(error) => error.to_string(),
        };
        warn!(host = hook.url.host_str().unwrap_or_default(), attempt, error = trouble, "a webhook was not delivered");
        if attempt < TRIES {
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}

fn body(form: WebhookForm, news: &News) -> String {
    let (approval, body) = (&news.approval, &news.approval.body);
    let state = news.made.to;
    match form {
        WebhookForm::Json => json!({
            "event": "approval",
            "about": body.about.word(),
            "approval": approval.id.to_string(),
            "from": news.made.from.map(ApprovalState::word),
            "state": state.word(),
            "at": news.made.at.to_string(),
            "who": body.who,
            "kind": body.kind,
            "actors": body.actors,
            "resource": body.resource,
            "purpose": body.purpose,
            "reference": body.reference,
            "rule": body.rule,
            "message": body.message,
            "approve_by": approval.ballot.approve_by.to_string(),
            "digest": body.digest,
        })
        .to_string(),
        WebhookForm::Slack => {
            let reference = body.reference.as_deref().or(body.purpose.as_deref()).unwrap_or("no purpose");
            let next = match state {
                ApprovalState::Pending => {
                    format!("\nLook: `gov approval show {0}`, then `gov approval approve {0}` or `deny`", approval.id)
                }
                state if approval.ballot.review && state != ApprovalState::Reviewed => format!(
                    "\nNobody was asked. End it with `gov approval deny {0}`; when it is over, look at what was done, and close \
                     it with `gov approval review {0}`",
                    approval.id
                ),
                _ => String::new(),
            };
            let text = format!(
                "*{}* on `{}` for {} ({}): {} is *{state}*{next}",
                plain(&body.who),
                body.resource,
                plain(reference),
                plain(&body.message),
                approval.id
            );
            json!({ "text": text }).to_string()
        }
    }
}

/// Slack reads `<`, `>` and `&` as markup: a name must not become a link.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn signature(hook: &Webhook, at: Timestamp, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, hook.secret.expose().as_bytes());
    let tag = hmac::sign(&key, format!("{}.{body}", at.seconds()).as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={},v1={hex}", at.seconds())
}
