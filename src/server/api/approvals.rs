//! Approvals: what waits for one, and what those who may decide say.

use super::{Call, Caller, Contents, Handler, Method, Route, json};
use crate::domain::{ApprovalId, Failure, Kind, Move, Timestamp};
use crate::server::approval::{self, Approval};
use crate::server::{rehearsal, sessions};
use crate::wire::api::{
    AccessRequest, ApprovalDecision, ApprovalEntry, ApprovalList, ApprovalObject, ApprovalShown, Rehearsal,
};

/// Longest reason that is kept, in characters.
const REASON_MAX: usize = 500;

pub(super) const LIST: Route = Route {
    method: Method::Get,
    path: "/v1/approvals",
    summary: "List requests for approval that the caller made or may decide; `?all=true` includes those that have ended",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<ApprovalList>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let Which { all } = call.query()?;
            let found = call.server.approvals.list(!all).await?;
            let mine = found.iter().filter(|approval| may_see(&call, &caller, approval));
            json(&ApprovalList { approvals: mine.map(|approval| entry(&call, &caller, approval)).collect() })
        })
    }),
};

pub(super) const SHOW: Route = Route {
    method: Method::Get,
    path: "/v1/approvals/{approval}",
    summary: "Show a request for approval: the statement, what it touches, and what it may change",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<ApprovalShown>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let approval = find(&call, &caller).await?;
            let estimate = rehearsal::estimate(&call.server, &approval).await;
            json(&shown(&call, &caller, &approval, estimate))
        })
    }),
};

pub(super) const APPROVE: Route = Route {
    method: Method::Post,
    path: "/v1/approvals/{approval}/approve",
    summary: "Agree: when enough persons have, the statement runs",
    request: Contents::Json(|schemas| schemas.subschema_for::<ApprovalDecision>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<ApprovalEntry>()),
    handler: Handler::User(|call, caller| Box::pin(decide(call, caller, Decision::Approve))),
};

pub(super) const DENY: Route = Route {
    method: Method::Post,
    path: "/v1/approvals/{approval}/deny",
    summary: "Say no, or take back a yes that has not been used",
    request: Contents::Json(|schemas| schemas.subschema_for::<ApprovalDecision>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<ApprovalEntry>()),
    handler: Handler::User(|call, caller| Box::pin(decide(call, caller, Decision::Deny))),
};

pub(super) const WITHDRAW: Route = Route {
    method: Method::Post,
    path: "/v1/approvals/{approval}/withdraw",
    summary: "Withdraw a request of one's own",
    request: Contents::Json(|schemas| schemas.subschema_for::<ApprovalDecision>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<ApprovalEntry>()),
    handler: Handler::User(|call, caller| Box::pin(decide(call, caller, Decision::Withdraw))),
};

pub(super) const REVIEW: Route = Route {
    method: Method::Post,
    path: "/v1/approvals/{approval}/review",
    summary: "Close what was taken in an emergency, after having looked at what was done with it",
    request: Contents::Json(|schemas| schemas.subschema_for::<ApprovalDecision>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<ApprovalEntry>()),
    handler: Handler::User(|call, caller| Box::pin(decide(call, caller, Decision::Review))),
};

pub(super) const REQUEST: Route = Route {
    method: Method::Post,
    path: "/v1/requests",
    summary: "Ask for access to a database, or take it in an emergency where the policy allows that",
    request: Contents::Json(|schemas| schemas.subschema_for::<AccessRequest>()),
    response: Contents::Json(|schemas| schemas.subschema_for::<ApprovalEntry>()),
    handler: Handler::User(|mut call, caller| {
        Box::pin(async move {
            let asked: AccessRequest = call.json().await?;
            let approval = sessions::request(&call.server, &caller, &asked).await?;
            json(&entry(&call, &caller, &approval))
        })
    }),
};

pub(super) const REHEARSE: Route = Route {
    method: Method::Post,
    path: "/v1/approvals/{approval}/rehearse",
    summary: "Run the statement in a transaction that is rolled back, and count what it changed",
    request: Contents::Nothing,
    response: Contents::Json(|schemas| schemas.subschema_for::<Rehearsal>()),
    handler: Handler::User(|call, caller| {
        Box::pin(async move {
            let approval = find(&call, &caller).await?;
            if !call.server.config().is_approver(&caller.identity) {
                return Err(not_yours(&call));
            }
            json(&rehearsal::rehearse(&call.server, &approval).await?)
        })
    }),
};

#[derive(serde::Deserialize)]
struct Which {
    #[serde(default)]
    all: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decision {
    Approve,
    Deny,
    Withdraw,
    Review,
}

async fn decide(mut call: Call, caller: Caller, decision: Decision) -> Result<axum::response::Response, Failure> {
    let asked: ApprovalDecision = call.json().await?;
    let mut approval = find(&call, &caller).await?;
    if decision != Decision::Withdraw {
        sessions::bar_owners(&call.server, &call.server.config(), &approval).await?;
        approval = find(&call, &caller).await?;
    }
    let who = caller.pseudonym.as_str();
    let wanted = match decision {
        Decision::Withdraw if approval.requester == who => Move::Withdraw,
        Decision::Withdraw => {
            return Err(Failure::new(Kind::Denied, "only whoever asked can withdraw this")
                .hint(format!("say no with: gov approval deny {}", approval.id)));
        }
        // Whoever is barred is told why, whether or not they belong to those who approve.
        Decision::Approve | Decision::Deny | Decision::Review
            if !call.server.config().is_approver(&caller.identity)
                && !approval.ballot.barred.iter().any(|b| b == who) =>
        {
            return Err(not_yours(&call));
        }
        Decision::Approve => Move::Approve(who),
        Decision::Deny => Move::Deny(who),
        Decision::Review => Move::Review(who),
    };
    let said = match decision {
        Decision::Approve => "agreed",
        Decision::Deny => "said no",
        Decision::Withdraw => "withdrew it",
        Decision::Review => "reviewed it",
    };
    let reason: String =
        asked.reason.unwrap_or_default().chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
    let name = &caller.identity.name;
    let remark = if reason.is_empty() { format!("{name} {said}") } else { format!("{name} {said}: {reason}") };
    let by = Some(caller.pseudonym.clone());
    let played = call.server.approvals.play(approval.id, call.now, by, wanted, Some(remark)).await;
    let approval = played.map_err(|failure| guided(failure, &approval, who))?;
    call.server.live.end_opened_by(&approval).await;
    json(&entry(&call, &caller, &approval))
}

/// The request of the path, if it is the caller's to see. Otherwise it is as if there were none.
async fn find(call: &Call, caller: &Caller) -> Result<Approval, Failure> {
    let text = call.parameter("approval")?;
    let id: ApprovalId = text.parse().map_err(|_| approval::unknown(text))?;
    let found = call.server.approvals.list(false).await?.into_iter().find(|approval| approval.id == id);
    found.filter(|approval| may_see(call, caller, approval)).ok_or_else(|| approval::unknown(text))
}

fn may_see(call: &Call, caller: &Caller, approval: &Approval) -> bool {
    approval.requester == caller.pseudonym || call.server.config().is_approver(&caller.identity)
}

fn not_yours(call: &Call) -> Failure {
    let approvers = approval::list(&call.server.approvals.approvers());
    let other = approvers
        .map_or_else(|| "no approvers are configured".to_owned(), |groups| format!("let somebody of {groups} run it"));
    Failure::new(Kind::Denied, "you are not among those who may decide this")
        .hint(format!("{other}; what is yours is shown by: gov approval ls"))
}

/// Says what to look at next, where the answer itself does not.
fn guided(failure: Failure, approval: &Approval, who: &str) -> Failure {
    if failure.hint.is_some() {
        return failure;
    }
    let is_open = !approval.ballot.state.is_end();
    failure.hint(if approval.requester == who && is_open {
        format!("withdraw it with: gov approval withdraw {}", approval.id)
    } else if approval.body.review_by_ms.is_some() && is_open {
        format!("end it with: gov approval deny {}", approval.id)
    } else {
        format!("see what became of it with: gov approval show {}", approval.id)
    })
}

fn entry(call: &Call, caller: &Caller, approval: &Approval) -> ApprovalEntry {
    let (ballot, body) = (&approval.ballot, &approval.body);
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    ApprovalEntry {
        approval: approval.id.to_string(),
        state: ballot.state.word().to_owned(),
        about: body.about.word().to_owned(),
        review_by: body.review_by_ms.filter(|_| !ballot.is_over()).map(|due| Timestamp::from_millis(due).to_string()),
        who: body.who.clone(),
        kind: body.kind.clone(),
        actors: body.actors.clone(),
        resource: body.resource.clone(),
        access: body.access.clone(),
        purpose: body.purpose.clone(),
        reference: body.reference.clone(),
        rule: body.rule.clone(),
        message: body.message.clone(),
        asked_at: body.asked_at.clone(),
        approve_by: ballot.approve_by.to_string(),
        execute_by: ballot.execute_by.to_string(),
        needed: count(ballot.needed),
        agreed: count(ballot.yes.len()),
        yours: call.server.config().is_approver(&caller.identity) && !ballot.barred.contains(&caller.pseudonym),
    }
}

fn shown(call: &Call, caller: &Caller, approval: &Approval, estimate: Option<u64>) -> ApprovalShown {
    let body = &approval.body;
    let object = |object: &approval::Object| ApprovalObject {
        name: object.name.clone(),
        touch: object.touch.clone(),
        tags: object.tags.clone(),
    };
    ApprovalShown {
        entry: entry(call, caller, approval),
        detail: body.detail.clone(),
        text: body.text.clone(),
        values: body.values.clone(),
        normalized: body.normalized.clone(),
        operations: body.operations.clone(),
        objects: body.objects.iter().map(object).collect(),
        search_path: body.search_path.clone(),
        in_transaction: body.in_transaction,
        rows_max: body.rows_max,
        estimate,
        digest: body.digest.clone(),
        remarks: body.remarks.clone(),
    }
}
