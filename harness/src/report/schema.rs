use serde_json::Value;

use super::Report;

/// The JSON schema of `results.json`, as it is published in `docs/results.schema.json`.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(Report).to_value();
    if let Some(root) = schema.as_object_mut() {
        let version = crate::conformance::results::VERSION;
        root.insert("$id".to_owned(), format!("urn:vdisim:results:{version}").into());
    }
    schema
}
