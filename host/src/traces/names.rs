//! Names of attributes that conventions of OpenTelemetry give. Those for generative
//! models have a repository of their own, of which there is no crate.

/// Who sends it.
pub(super) const SERVICE_NAME: &str = "service.name";
/// Its version.
pub(super) const SERVICE_VERSION: &str = "service.version";
/// What kind of error a span ended with.
pub(super) const ERROR_TYPE: &str = "error.type";
/// What a model is asked for: `chat`.
pub(super) const OPERATION: &str = "gen_ai.operation.name";
/// Who has the model.
pub(super) const PROVIDER: &str = "gen_ai.provider.name";
/// The model that is asked.
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The model that answers.
pub(super) const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Seconds from sending to the first part of the answer.
pub(super) const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// All input tokens, those of the provider's prompt cache included.
pub(super) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Output tokens.
pub(super) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Those input tokens that were read from the prompt cache.
pub(super) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Those input tokens that were written to the prompt cache.
pub(super) const CACHE_WRITE_TOKENS: &str = "gen_ai.usage.cache_creation.input_tokens";
