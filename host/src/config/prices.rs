//! `[prices."a-model"]` of the user's `config.toml`: what a model costs, where the built-in list is wrong or lacks it.

use std::collections::BTreeMap;

use convoke_runtime::prices::{HIGHEST, ListPrice};
use serde::Deserialize;
use toml::Spanned;

use super::ConfigError;
use super::document::Document;

/// As it stands in the file, by the model's name.
pub(super) type PricesTable = BTreeMap<String, PriceTable>;

/// Dollars per million tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PriceTable {
    input: Spanned<f64>,
    output: Spanned<f64>,
    cache_write: Option<Spanned<f64>>,
    cache_read: Option<Spanned<f64>>,
}

/// The prices, all in range.
pub(super) fn check(table: PricesTable, document: Document<'_>) -> Result<Vec<ListPrice>, ConfigError> {
    let within = |key, price| document.within(key, price, 0.0..=HIGHEST);
    table
        .into_iter()
        .map(|(model, price)| {
            Ok(ListPrice {
                model,
                // Given, so that they are there.
                input: within("input", Some(price.input))?.unwrap_or(HIGHEST),
                output: within("output", Some(price.output))?.unwrap_or(HIGHEST),
                cache_write: within("cache_write", price.cache_write)?,
                cache_read: within("cache_read", price.cache_read)?,
            })
        })
        .collect()
}
