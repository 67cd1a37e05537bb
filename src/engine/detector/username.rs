//! Knows names that people log in with: one word, often of a person's name.

use super::person_name::{FAMILY, GIVEN};
use super::{Detector, Form, Likeness, Method, Sight};

pub(super) struct Username;

impl Detector for Username {
    fn name(&self) -> &'static str {
        "username"
    }

    fn summary(&self) -> &'static str {
        "names that people log in with"
    }

    fn method(&self) -> Method {
        Method::Pseudonym(Form::Word)
    }

    fn sight(&self) -> Sight {
        Sight::Cell(look)
    }

    fn claims(&self) -> &'static [&'static str] {
        &[
            "username",
            "user name",
            "login",
            "login name",
            "loginname",
            "login id",
            "user login",
            "uname",
            "usr name",
            "usr nm",
            "usrname",
            "nickname",
            "nick",
            "handle",
            "screen name",
            "screenname",
            "account name",
            "benutzername",
            "nom utilisateur",
            "nombre usuario",
            "usuario",
            "nome utente",
            "nome usuario",
            "brukernavn",
            "anvandarnamn",
            "brugernavn",
            "gebruikersnaam",
            "kayttajatunnus",
            "usr",
            "twitter handle",
            "github username",
            "slack handle",
            "skype",
            "telegram",
            "user nm",
            "usernm",
            "utilisateur",
            "u name",
        ]
    }

    fn hints(&self) -> &'static [&'static str] {
        &["user", "alias", "created by", "updated by", "modified by", "member"]
    }
}

fn look(text: &str) -> Likeness {
    let signs = |byte: u8| matches!(byte, b'_' | b'.' | b'-');
    let fits = (3..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || signs(byte))
        && text.starts_with(|c: char| c.is_ascii_lowercase());
    if !fits {
        return Likeness::No;
    }
    // Names of machines and files have a short last part, and what is made of a title has hyphens.
    let last = text.rsplit_once('.').map_or("", |(_, last)| last);
    if TOPS.contains(&last) || text.matches('.').count() > 1 || text.matches('-').count() > 1 {
        return Likeness::No;
    }
    let known = |word: &str| word.len() >= 3 && (GIVEN.contains(word) || FAMILY.contains(word));
    let mut parts = text.split(|c: char| !c.is_ascii_lowercase()).filter(|part| !part.is_empty());
    let named = parts.any(|part| {
        // Also with an initial before it or behind it, and two names without a sign between.
        let initial = part.get(1..).is_some_and(|rest| rest.len() >= 4 && known(rest));
        let trailing = part.get(..part.len() - 1).is_some_and(|rest| rest.len() >= 5 && known(rest));
        let two = (3..part.len().saturating_sub(2))
            .any(|at| part.split_at_checked(at).is_some_and(|(left, right)| known(left) && known(right)));
        known(part) || initial || trailing || two
    });
    if named && !text.contains('-') { Likeness::Certain } else { Likeness::Possible }
}

/// Last parts of names of machines and files.
const TOPS: &[&str] = &[
    "com", "org", "net", "info", "biz", "edu", "gov", "io", "dev", "local", "app", "gif", "jpg", "jpeg", "png", "webp",
    "svg", "bmp", "tiff", "mp3", "mp4", "wav", "flac", "avi", "mov", "webm", "pdf", "doc", "docx", "xls", "xlsx",
    "ppt", "pptx", "odt", "ods", "txt", "csv", "json", "xml", "html", "css", "js", "zip", "tar", "gz", "log", "py",
    "rs", "sql", "md", "de", "fr", "es", "it", "nl", "pl", "se", "uk", "us", "ogg", "numbers", "pages", "key", "xlsm",
    "odp",
];

#[cfg(test)]
mod tests {
    use super::super::tests::check;
    use super::*;

    #[test]
    fn values() {
        check(&Username, "maria.smith", Likeness::Certain);
        check(&Username, "jsmith42", Likeness::Certain);
        check(&Username, "mariasmith", Likeness::Certain);
        check(&Username, "blorp_99", Likeness::Possible);
        check(&Username, "Maria", Likeness::No);
        check(&Username, "web-01.smith.com", Likeness::No);
        check(&Username, "king-of-hearts", Likeness::No);
        check(&Username, "9lives", Likeness::No);
    }
}
