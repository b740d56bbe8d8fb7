//! Label and field selectors of lists and watches: such as are equal, or not; all of them must hold.

use serde_json::Value;

/// Whether an object is selected by a label selector and a field selector, as they stand in a URL.
pub(super) fn selects((labels, fields): (&str, &str), object: &Value) -> bool {
    let label = |key: &str| {
        object["metadata"]["labels"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let field = |path: &str| {
        let found = path.split('.').fold(object, |within, key| &within[key]);
        found.as_str().unwrap_or_default().to_owned()
    };
    holds(labels, label) && holds(fields, field)
}

fn holds(selector: &str, value: impl Fn(&str) -> String) -> bool {
    let selector = decoded(selector);
    let mut terms = selector.split(',').filter(|term| !term.is_empty());
    terms.all(|term| match term.split_once("!=") {
        Some((key, wanted)) => value(key) != wanted,
        None => {
            let (key, wanted) = term.split_once('=').unwrap_or((term, ""));
            value(key) == wanted.trim_start_matches('=')
        }
    })
}

/// What of percent-encoding selectors have.
fn decoded(text: &str) -> String {
    let pairs = [
        ("%3D", "="),
        ("%2C", ","),
        ("%2F", "/"),
        ("%21", "!"),
        ("%3d", "="),
        ("%2c", ","),
    ];
    let decode = |text: String, (from, to): (&str, &str)| text.replace(from, to);
    pairs.into_iter().fold(text.to_owned(), decode)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_terms_must_hold() {
        let pod = json!({"metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web"}},
                         "spec": {"nodeName": "node1"}, "status": {"phase": "Running"}});
        for (labels, fields, is_selected) in [
            ("", "", true),
            ("app.kubernetes.io/name%3Dweb", "", true),
            ("app.kubernetes.io/name=web,x=y", "", false),
            ("app.kubernetes.io/name!=web", "", false),
            ("", "spec.nodeName%3Dnode1,status.phase%3DRunning", true),
            ("", "spec.nodeName=node1,status.phase!=Running", false),
            ("app.kubernetes.io/name==web", "metadata.name=web", true),
        ] {
            assert_eq!(
                selects((labels, fields), &pod),
                is_selected,
                "{labels} {fields}"
            );
        }
    }
}
