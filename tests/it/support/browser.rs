//! A browser without eyes: follows redirects, keeps cookies, fills in the first form of a page.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, Url};

/// Redirects followed in a row. The provider's interactions take three.
const REDIRECTS_MAX: usize = 10;

/// One window.
#[derive(Debug)]
pub(crate) struct Browser {
    client: Client,
    cookies: BTreeMap<String, String>,
    pub(crate) address: Url,
    pub(crate) page: String,
}

impl Browser {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, cookies: BTreeMap::new(), address: Url::parse("about:blank").unwrap(), page: String::new() }
    }

    pub(crate) async fn open(&mut self, address: &str) {
        let url = Url::parse(address).unwrap();
        let response = self.client.get(url.clone()).header(COOKIE, self.cookie_header()).send().await.unwrap();
        self.arrive(url, response).await;
    }

    /// Sends the first form of the page: its hidden fields, and these.
    pub(crate) async fn submit(&mut self, fields: &[(&str, &str)]) {
        let form =
            self.page.split("<form").nth(1).unwrap_or_else(|| panic!("no form at {}: {}", self.address, self.page));
        let form = form.split("</form>").next().unwrap();
        let action = attribute(form.split('>').next().unwrap(), "action").unwrap();
        let url = self.address.join(&action).unwrap();
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        for input in form.split("<input").skip(1).map(|input| input.split('>').next().unwrap()) {
            if attribute(input, "type").as_deref() == Some("hidden") {
                values.insert(attribute(input, "name").unwrap(), attribute(input, "value").unwrap_or_default());
            }
        }
        values.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let request = self.client.post(url.clone()).header(COOKIE, self.cookie_header());
        let response = request.form(&values).send().await.unwrap();
        self.arrive(url, response).await;
    }

    async fn arrive(&mut self, mut url: Url, mut response: Response) {
        for _ in 0..REDIRECTS_MAX {
            for cookie in response.headers().get_all(SET_COOKIE) {
                let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = cookie.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(location) = response.headers().get(LOCATION) else { break };
            url = url.join(location.to_str().unwrap()).unwrap();
            response = self.client.get(url.clone()).header(COOKIE, self.cookie_header()).send().await.unwrap();
        }
        self.address = url;
        self.page = response.text().await.unwrap();
    }

    fn cookie_header(&self) -> String {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        cookies.join("; ")
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split(&format!("{name}=\"")).nth(1)?;
    Some(rest.split('"').next().unwrap().to_owned())
}
