//! What a model's tokens cost, at list price.
//!
//! The numbers are data (`prices.toml`, with date and source). A model that is not in it has no known price: that is
//! said, and never counted as nothing.

use serde::Deserialize;

use crate::money::Usd;
use crate::question::Usage;

/// The data that is built in.
const BUILT_IN: &str = include_str!("prices.toml");

/// The newest version of the data's format that is understood.
const VERSION: u32 = 1;

/// What writing to and reading from the prompt cache usually costs, as multiples of the input price.
const USUAL_CACHE: (f64, f64) = (1.25, 0.1);

/// Picodollars a token, for one dollar a million tokens.
const PICO_PER_DOLLAR_A_MILLION: f64 = 1e6;

/// The highest price that is believed, in dollars per million tokens: beyond it, it is a slip of the pen.
pub const HIGHEST: f64 = 10_000.0;

/// Why a price list can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PricesError {
    /// Not TOML, or not of the expected form; the message has line and column.
    #[error("the price list can't be read: {0}")]
    Unreadable(#[from] toml::de::Error),
    /// Written for a later convoke.
    #[error("the price list has version {0}, this convoke reads up to {VERSION}")]
    Newer(u32),
    /// A number that can't be a price.
    #[error("the price list's `{field}` of `{model}` is {value}: a number from 0 to {HIGHEST} is expected")]
    NotAPrice {
        /// The prefix of the model.
        model: String,
        /// Which number.
        field: &'static str,
        /// The number.
        value: f64,
    },
}

/// A price list.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    as_of: String,
    source: String,
    models: Vec<Model>,
}

/// A price that the user gives, in dollars per million tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct ListPrice {
    /// The model; its dated snapshots have the same price unless they have their own.
    pub model: String,
    /// Of input.
    pub input: f64,
    /// Of output.
    pub output: f64,
    /// Of input that is written to the prompt cache; none: 1.25 times the input price.
    pub cache_write: Option<f64>,
    /// Of input that is read from it; none: a tenth of the input price.
    pub cache_read: Option<f64>,
}

#[derive(Clone, Debug)]
struct Model {
    prefix: String,
    usual: Rates,
    above: Option<(u64, Rates)>,
}

/// The price of one token of each sort.
#[derive(Clone, Copy, Debug)]
struct Rates {
    input: Usd,
    output: Usd,
    cache_write: Usd,
    cache_read: Usd,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    as_of: String,
    source: String,
    #[serde(default)]
    model: Vec<ModelEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelEntry {
    prefix: String,
    input: f64,
    output: f64,
    cache_write: f64,
    cache_read: f64,
    above: Option<AboveEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AboveEntry {
    prompt_tokens: u64,
    input: f64,
    output: f64,
}

impl Prices {
    /// The list that is built in.
    ///
    /// A test proves that it can be read; were it not, no model would have a known price.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).unwrap_or_default()
    }

    /// A list in the form of `prices.toml`.
    ///
    /// # Errors
    /// Where it is not of that form, newer, or has a number that can't be a price.
    pub fn parse(text: &str) -> Result<Self, PricesError> {
        let file: File = toml::from_str(text)?;
        if file.version > VERSION {
            return Err(PricesError::Newer(file.version));
        }
        let models = file.model.into_iter().map(Model::from_entry).collect::<Result<_, _>>()?;
        Ok(Self { as_of: file.as_of, source: file.source, models })
    }

    /// Puts the user's price in place of the list's.
    ///
    /// # Errors
    /// A number that can't be a price.
    pub fn set(&mut self, price: &ListPrice) -> Result<(), PricesError> {
        let of = |field, dollars| a_token(&price.model, field, dollars);
        let usual = Rates {
            input: of("input", price.input)?,
            output: of("output", price.output)?,
            cache_write: of("cache_write", price.cache_write.unwrap_or(price.input * USUAL_CACHE.0))?,
            cache_read: of("cache_read", price.cache_read.unwrap_or(price.input * USUAL_CACHE.1))?,
        };
        self.models.retain(|model| model.prefix != price.model);
        self.models.push(Model { prefix: price.model.clone(), usual, above: None });
        Ok(())
    }

    /// The day on which the prices were looked up, as `2026-11-20`.
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// Where they were looked up.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What one request took, exactly; none: the model's price is not known. Requests must be priced one by one,
    /// because a long prompt has another price. The `usd` of the usage is ignored.
    pub fn usd(&self, model: &str, usage: &Usage) -> Option<Usd> {
        let prompt =
            usage.input_tokens.saturating_add(usage.cache_read_tokens).saturating_add(usage.cache_write_tokens);
        let rates = self.model(model)?.rates(prompt);
        Some(
            rates.input * usage.input_tokens
                + rates.cache_write * usage.cache_write_tokens
                + rates.cache_read * usage.cache_read_tokens
                + rates.output * usage.output_tokens,
        )
    }

    /// The most that one request of up to so many tokens can take, at the dearest rate that may apply to it: that of a long
    /// prompt if it may be one, and where something is marked for the prompt cache (`cached`), all of its input written to
    /// it.
    pub fn at_most(&self, model: &str, input_tokens: u64, output_tokens: u64, cached: bool) -> Option<Usd> {
        let model = self.model(model)?;
        let most = |rates: Rates| {
            let input = if cached { rates.input.max(rates.cache_write).max(rates.cache_read) } else { rates.input };
            input * input_tokens + rates.output * output_tokens
        };
        // It may have fewer tokens, and another rate need not be a higher one.
        let long = model.above.filter(|(tokens, _)| input_tokens > *tokens);
        Some(long.map_or(Usd::ZERO, |(_, rates)| most(rates)).max(most(model.usual)))
    }

    /// The entry with the longest prefix.
    fn model(&self, id: &str) -> Option<&Model> {
        self.models.iter().filter(|model| names(&model.prefix, id)).max_by_key(|model| model.prefix.len())
    }
}

/// Whether an id is that model's: the name itself, or a dated snapshot of it (`claude-opus-5-5-20261001`). Another
/// suffix may be another model with another price.
fn names(prefix: &str, id: &str) -> bool {
    match id.strip_prefix(prefix) {
        Some("") | Some("-latest") => true,
        Some(rest) => rest
            .strip_prefix(['-', '@'])
            .is_some_and(|date| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit())),
        None => false,
    }
}

/// The price of a token, where a million cost so many dollars.
fn a_token(model: &str, field: &'static str, dollars: f64) -> Result<Usd, PricesError> {
    if (0.0..=HIGHEST).contains(&dollars) {
        Ok(Usd::from_pico((dollars * PICO_PER_DOLLAR_A_MILLION).round() as u64))
    } else {
        Err(PricesError::NotAPrice { model: model.to_owned(), field, value: dollars })
    }
}

impl Model {
    fn from_entry(entry: ModelEntry) -> Result<Self, PricesError> {
        let rates = |input: f64, output: f64| {
            let price = |field, dollars| a_token(&entry.prefix, field, dollars);
            Ok::<_, PricesError>(Rates {
                input: price("input", input)?,
                output: price("output", output)?,
                cache_write: price("cache_write", input * entry.cache_write)?,
                cache_read: price("cache_read", input * entry.cache_read)?,
            })
        };
        Ok(Self {
            usual: rates(entry.input, entry.output)?,
            above: match &entry.above {
                Some(above) => Some((above.prompt_tokens, rates(above.input, above.output)?)),
                None => None,
            },
            prefix: entry.prefix,
        })
    }

    fn rates(&self, prompt_tokens: u64) -> Rates {
        match self.above {
            Some((tokens, rates)) if prompt_tokens > tokens => rates,
            _ => self.usual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: u64, write: u64, read: u64, output: u64) -> Usage {
        Usage {
            requests: 1,
            input_tokens: input,
            cache_write_tokens: write,
            cache_read_tokens: read,
            output_tokens: output,
            usd: Usd::ZERO,
        }
    }

    #[test]
    fn the_built_in_list_can_be_read_and_says_from_when_it_is() {
        let prices = Prices::parse(BUILT_IN).unwrap();
        assert_eq!(prices.models.len(), 5);
        assert_eq!((prices.as_of(), prices.source()), ("2026-11-20", "Anthropic price list"));
    }

    #[test]
    fn a_million_in_and_out_cost_what_the_list_says() {
        let prices = Prices::built_in();
        for (model, input, output) in [
            ("claude-opus-5-5", 4.0, 20.0),
            ("claude-sonnet-5-5", 2.0, 10.0),
            ("claude-haiku-5-5", 0.5, 2.5),
            ("claude-fable-5-1", 10.0, 50.0),
            ("claude-fable-5-2", 8.0, 40.0),
        ] {
            assert_eq!(prices.usd(model, &usage(1_000_000, 0, 0, 0)).unwrap().dollars(), input, "{model}");
            let output_of = |tokens| prices.usd(model, &usage(100_001, 0, 0, tokens)).unwrap();
            assert_eq!((output_of(1_000_000) - output_of(0)).dollars(), output, "{model}");
        }
    }

    #[test]
    fn haiku_is_cheap_up_to_a_hundred_thousand_prompt_tokens_cached_ones_included() {
        let prices = Prices::built_in();
        let cheap = prices.usd("claude-haiku-5-5", &usage(100_000, 0, 0, 1_000)).unwrap();
        assert_eq!(cheap, Usd::from_pico(100_000 * 100_000 + 1_000 * 500_000));
        let dear = prices.usd("claude-haiku-5-5", &usage(1, 0, 100_000, 1_000)).unwrap();
        assert_eq!(dear, Usd::from_pico(500_000 + 100_000 * 50_000 + 1_000 * 2_500_000));
    }

    #[test]
    fn cached_tokens_have_their_own_price_to_the_picodollar() {
        let prices = Prices::built_in();
        assert_eq!(
            prices.usd("claude-opus-5-5", &usage(3, 5, 7, 11)),
            Some(Usd::from_pico(3 * 4_000_000 + 5 * 5_000_000 + 7 * 200_000 + 11 * 20_000_000))
        );
        assert_eq!(prices.usd("claude-fable-5-1", &usage(0, 0, 1, 0)), Some(Usd::from_pico(250_000)));
    }

    #[test]
    fn the_most_is_never_less_than_what_it_took() {
        let prices = Prices::built_in();
        let most = prices.at_most("claude-opus-5-5", 1_000, 100, true).unwrap();
        for split in 0..=1_000 {
            assert!(prices.usd("claude-opus-5-5", &usage(1_000 - split, split, 0, 100)).unwrap() <= most);
        }
        let uncached = prices.at_most("claude-opus-5-5", 1_000, 100, false).unwrap();
        assert_eq!(uncached, prices.usd("claude-opus-5-5", &usage(1_000, 0, 0, 100)).unwrap());
        assert!(uncached < most);
    }

    #[test]
    fn the_most_of_what_may_be_a_long_prompt_has_its_rates() {
        let prices = Prices::built_in();
        let most = |tokens| prices.at_most("claude-haiku-5-5", tokens, 1_000, false).unwrap();
        assert_eq!(most(100_000), Usd::from_pico(100_000 * 100_000 + 1_000 * 500_000));
        assert_eq!(most(100_001), Usd::from_pico(100_001 * 500_000 + 1_000 * 2_500_000));
    }

    #[test]
    fn an_unknown_model_has_no_price_instead_of_none_to_pay() {
        let prices = Prices::built_in();
        for unknown in ["gpt-7", "claude-opus-5-50", "claude-opus-5-5-turbo", "claude-opus-5", ""] {
            assert_eq!(prices.usd(unknown, &usage(1, 0, 0, 1)), None, "{unknown}");
        }
        for known in ["claude-opus-5-5-20261001", "claude-opus-5-5@20261001", "claude-opus-5-5-latest"] {
            assert!(prices.usd(known, &usage(1, 0, 0, 1)).is_some(), "{known}");
        }
    }

    #[test]
    fn the_users_price_takes_the_place_of_the_lists() {
        let mut prices = Prices::built_in();
        let mine = ListPrice {
            model: "claude-opus-5-5".to_owned(),
            input: 3.0,
            output: 15.0,
            cache_write: None,
            cache_read: Some(0.5),
        };
        prices.set(&mine).unwrap();
        let price = |model: &str| prices.usd(model, &usage(1, 10, 100, 1_000));
        let expected = Usd::from_pico(3_000_000 + 10 * 3_750_000 + 100 * 500_000 + 1_000 * 15_000_000);
        assert_eq!((price("claude-opus-5-5"), price("claude-opus-5-5-20261001")), (Some(expected), Some(expected)));
        let mut prices = prices.clone();
        prices.set(&ListPrice { model: "mine".to_owned(), ..mine.clone() }).unwrap();
        assert!(prices.usd("mine", &usage(1, 0, 0, 0)).is_some());
        let error = prices.set(&ListPrice { output: f64::NAN, ..mine }).unwrap_err().to_string();
        assert!(error.contains("`output` of `claude-opus-5-5`"), "{error}");
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        let with = |input: &str| {
            let text = format!(
                "version = 1\nas_of = \"x\"\nsource = \"x\"\n[[model]]\nprefix = \"m\"\ninput = {input}\noutput = 1.0\ncache_write = 1.0\ncache_read = 1.0\n"
            );
            Prices::parse(&text).map_err(|error| error.to_string())
        };
        assert!(with("1.0").is_ok());
        for nonsense in ["-1.0", "nan", "inf", "1e9"] {
            assert!(with(nonsense).unwrap_err().contains("`input` of `m`"), "{nonsense}");
        }
        assert!(with("\"free\"").unwrap_err().contains("line 6"));
        assert!(
            Prices::parse("version = 2\nas_of = \"x\"\nsource = \"x\"").unwrap_err().to_string().contains("version 2")
        );
    }
}
