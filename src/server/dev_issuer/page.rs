//! The page on which a person answers a device: enter the code, see who asks, pick who to be and the number that the
//! terminal shows. Plain HTML and a style sheet; no script.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use super::flows::Asker;
use super::{DevIssuer, issuer};
use crate::domain::{Failure, Kind, Timestamp};
use crate::identity::device_flow::{Answer, MatchNumber, UserCode};
use crate::runtime::random;
use crate::server::api::{self, Call, Contents, Handler, Method, Route};
use crate::wire::api::DeviceAnswer;

/// Holds the value that the form must send back (double submit).
const COOKIE: &str = "gov_csrf";

const STYLE: &str = include_str!("page.css");

#[derive(Deserialize)]
struct Asked {
    user_code: Option<String>,
}

pub(super) const SHOW: Route = Route {
    method: Method::Get,
    path: "/issuer/device",
    summary: "Show the page on which a login is approved",
    request: Contents::Nothing,
    response: Contents::Html,
    handler: Handler::Page(|call| {
        Box::pin(async move {
            let page = show(&call);
            Ok(page.unwrap_or_else(|failure| respond(api::status(failure.kind), &failed(&failure), None)))
        })
    }),
};

fn show(call: &Call) -> Result<Response, Failure> {
    let asked: Asked = call.query()?;
    let Some(code) = asked.user_code.filter(|code| !code.is_empty()) else {
        return Ok(respond(StatusCode::OK, &enter_code(None), None));
    };
    let Some(code) = UserCode::parse(&code) else {
        return Ok(respond(
            StatusCode::OK,
            &enter_code(Some("A code has eight letters, for example BCDF-GHJK.")),
            None,
        ));
    };
    let issuer = issuer(call)?;
    let (asker, number) = issuer.flows.find(code, call.now)?;
    let csrf = URL_SAFE_NO_PAD.encode(random::bytes::<16>()?);
    let choices = number.choices(random::bytes()?);
    let page = confirm(issuer, code, &asker, choices, &csrf, call.now);
    Ok(respond(StatusCode::OK, &page, Some(&csrf)))
}

pub(super) const ANSWER: Route = Route {
    method: Method::Post,
    path: "/issuer/device",
    summary: "Answer a login on the page",
    request: Contents::Form(|schemas| schemas.subschema_for::<DeviceAnswer>()),
    response: Contents::Html,
    handler: Handler::Page(|mut call| {
        Box::pin(async move {
            let page = answer(&mut call).await;
            Ok(page.unwrap_or_else(|failure| respond(api::status(failure.kind), &failed(&failure), None)))
        })
    }),
};

async fn answer(call: &mut Call) -> Result<Response, Failure> {
    let cookie = cookie(call);
    let form: DeviceAnswer = call.form().await?;
    if form.csrf.is_empty() || cookie.as_ref() != Some(&form.csrf) {
        return Err(Failure::new(Kind::Denied, "this form was not made for this browser").hint("reload the page"));
    }
    let code = UserCode::parse(&form.user_code).ok_or_else(|| Failure::new(Kind::Usage, "the code is missing"))?;
    let issuer = issuer(call)?;
    if form.decision != "approve" {
        issuer.flows.answer(code, call.now, Answer::Deny)?;
        tracing::info!("a login was denied on the page");
        return Ok(respond(StatusCode::OK, &denied(), None));
    }
    let user = issuer.users.get_key_value(&form.user);
    let (id, user) =
        user.ok_or_else(|| Failure::new(Kind::Usage, "nobody was picked").hint("go back and pick a user"))?;
    let approval = Answer::Approve { user: id.clone(), number: MatchNumber::parse(&form.number) };
    issuer.flows.answer(code, call.now, approval)?;
    tracing::info!(user = %id, "a login was approved on the page");
    Ok(respond(StatusCode::OK, &approved(&user.name), None))
}

fn cookie(call: &Call) -> Option<String> {
    let cookies = call.header(header::COOKIE.as_str())?;
    cookies.split(';').find_map(|cookie| {
        let (name, value) = cookie.trim().split_once('=')?;
        (name == COOKIE).then(|| value.to_owned())
    })
}

fn respond(status: StatusCode, page: &Markup, csrf: Option<&str>) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.0.clone()).into_response();
    let headers = response.headers_mut();
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    let style = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()));
    set(
        header::CONTENT_SECURITY_POLICY,
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        ),
    );
    set(header::X_FRAME_OPTIONS, "DENY".to_owned());
    // Not `no-referrer`: with it browsers send `Origin: null` with our own forms (Fetch standard, section 3.2).
    set(header::REFERRER_POLICY, "same-origin".to_owned());
    if let Some(csrf) = csrf {
        set(header::SET_COOKIE, format!("{COOKIE}={csrf}; Path=/issuer; HttpOnly; SameSite=Strict; Max-Age=600"));
    }
    response
}

fn frame(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · gov" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        span.mark { "gov" }
                        span.warning { "built-in issuer · no passwords · this machine only" }
                    }
                    (body)
                }
            }
        }
    }
}

fn enter_code(complaint: Option<&str>) -> Markup {
    frame(
        "Log in",
        &html! {
            h1 { "Enter the code from your terminal" }
            @if let Some(complaint) = complaint {
                p.complaint role="alert" { (complaint) }
            }
            form method="get" action="/issuer/device" {
                input.code name="user_code" aria-label="Code" placeholder="BCDF-GHJK" maxlength="12" autocomplete="off"
                    autocapitalize="characters" spellcheck="false" required autofocus;
                div.buttons { button.primary { "Continue" } }
            }
            p.note { "Somebody sent you a code? Do not enter it: whoever started the login gets your access." }
        },
    )
}

fn confirm(
    issuer: &DevIssuer,
    code: UserCode,
    asker: &Asker,
    choices: [MatchNumber; 3],
    csrf: &str,
    now: Timestamp,
) -> Markup {
    let ago = now.since(asker.at).as_secs();
    frame(
        "Approve a login",
        &html! {
            h1 { "Log in a terminal?" }
            dl {
                dt { "Asked by" } dd { strong { @if asker.host.is_empty() { "unknown" } @else { (asker.host) } } }
                dt { "From" } dd { (asker.address) ", " (ago) " seconds ago" }
                dt { "Client" } dd { "gov " (asker.version) }
                dt { "Code" } dd.mono { (code) }
                dt { "It will be able to" } dd { "open database sessions as you, for up to 12 hours, within your rights" }
            }
            form method="post" action="/issuer/device" {
                input type="hidden" name="csrf" value=(csrf);
                input type="hidden" name="user_code" value=(code);
                // Enter presses a form's first button: that is Deny.
                button.unseen name="decision" value="deny" formnovalidate tabindex="-1" aria-hidden="true" {}
                fieldset {
                    legend { "Which number does your terminal show?" }
                    div.numbers {
                        @for choice in choices {
                            label { input type="radio" name="number" value=(choice) required; span { (choice) } }
                        }
                    }
                }
                fieldset {
                    legend { "Log in as" }
                    div.users {
                        @for (id, user) in &issuer.users {
                            label {
                                input type="radio" name="user" value=(id) required;
                                span { strong { (user.name) } small { (id) " · " (groups(&user.groups)) } }
                            }
                        }
                    }
                }
                div.buttons {
                    button.primary name="decision" value="deny" formnovalidate { "Deny" }
                    button name="decision" value="approve" { "Approve" }
                }
            }
        },
    )
}

fn groups(groups: &[String]) -> String {
    if groups.is_empty() { "no groups".to_owned() } else { groups.join(", ") }
}

fn approved(name: &str) -> Markup {
    frame(
        "Logged in",
        &html! {
            h1 { "Logged in as " (name) }
            p { "Go on in your terminal. You can close this page." }
        },
    )
}

fn denied() -> Markup {
    frame(
        "Denied",
        &html! {
            h1 { "Denied" }
            p { "The terminal was not logged in. You can close this page." }
        },
    )
}

fn failed(failure: &Failure) -> Markup {
    frame(
        "Not done",
        &html! {
            h1 { "Not done" }
            p.complaint role="alert" { (failure.message) "." }
            @if let Some(detail) = &failure.detail { p { (detail) } }
            @if let Some(hint) = &failure.hint { p.note { (hint) } }
        },
    )
}
