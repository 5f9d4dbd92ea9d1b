"""A tiny random model of any causal type that transformers knows."""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

# Size of each number of a configuration, by name; others stay as they are.
_SIZES: dict[int, str] = {
    1: "n_shared_experts num_shared_experts first_k_dense_replace num_dense_layers n_group "
    "topk_group num_expert_group mamba_n_groups n_groups mamba_ngroups num_nextn_predict_layers "
    "moe_num_shared_experts num_res_blocks num_residual_layers zero_expert_num swa_num_kv_heads "
    "num_mem_blocks num_random_blocks num_centroids moe_layer_start_index",
    2: "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers "
    "num_decoder_layers num_encoder_layers num_blocks depth num_key_value_heads kv_n_heads "
    "num_kv_heads num_experts_per_tok num_experts_per_token moe_topk moe_top_k moe_k "
    "num_layers_per_stack hc_mult swa_num_key_value_heads num_query_groups "
    "linear_num_key_heads index_n_heads n_layers_per_attn_res_block num_global_layers "
    "o_groups altup_num_inputs time_step_rank mamba_dt_rank H_cycles L_cycles block_size "
    "num_conv_pos_embeddings heads_per_ngram",
    4: "num_attention_heads n_head n_heads num_heads decoder_attention_heads "
    "encoder_attention_heads num_encoder_attention_heads num_decoder_attention_heads "
    "attention_heads num_experts n_routed_experts num_local_experts moe_num_experts "
    "linear_num_value_heads swa_num_attention_heads mamba_n_heads mamba_num_heads n_mamba_heads "
    "linear_num_heads laurel_rank ssm_state_size mamba_d_state state_size gated_norm_rank "
    "adapter_rank rotary_dim index_topk d_rel hc_lowrank index_topk_blocks prompt_length",
    8: "head_dim v_head_dim qk_nope_head_dim qk_rope_head_dim index_head_dim dim_head d_head "
    "linear_key_head_dim linear_value_head_dim linear_head_dim swa_head_dim kv_channels "
    "attention_head_size d_kv block_multiple_of chunk_size mamba_chunk_size embed_dim "
    "hidden_size_per_layer_input query_pre_attn_scalar global_head_dim index_block_size",
    16: "kv_lora_rank q_lora_rank o_lora_rank moe_intermediate_size router_hidden_size "
    "mamba_d_head mamba_head_dim mamba_headdim expert_ffn_hidden_size "
    "shared_expert_intermediate_size moe_shared_expert_intermediate_size qk_head_dim "
    "shared_experts_intermediate_size attention_head_dim image_size patch_size embedding_size "
    "base_channels latent_channels output_embedding_size input_embedding_size "
    "pronunciation_embed_dim shape_embed_dim ple_embed_dim expert_hidden_dim num_mel_bins "
    "vector_quantization_hidden_dimension codebook_dim num_filters upsample_groups "
    "max_source_positions prompt_mid_dim conf_hidden_size",
    32: "hidden_size d_model n_embd hidden_dim decoder_hidden_size word_embed_proj_dim emb_dim "
    "embedding_dim lru_width mamba_d_ssm attention_hidden_size out_hidden_size input_size "
    "hidden_size_global vision_output_dim projector_input_dim projector_output_dim mlp_dim "
    "backbone_hidden_size output_channels adapter_out_dim adapter_in_dim",
    48: "intermediate_size ffn_hidden_size decoder_ffn_dim encoder_ffn_dim ffn_dim dim_ff dff "
    "n_inner d_inner d_ff feed_forward_size dense_intermediate_size intermediate_size_mlp "
    "shared_intermediate_size",
    96: "vocab_size decoder_vocab_size vocab_size_per_layer_input unpadded_vocab_size "
    "audio_vocab_size pronunciation_vocab_size shape_vocab_size encoder_hash_byte_group_vocab "
    "codebook_size ngram_vocab_size_base",
    128: "max_position_embeddings n_positions n_ctx max_seq_len max_sequence_length "
    "max_target_positions context_length model_max_length num_position_embeddings",
}
VOCAB_SIZE = 96
_SIZE = {name: size for size, names in _SIZES.items() for name in names.split()}
# What a single number for each name does not fit.
_OWN: dict[str, dict[str, Any]] = {
    "bert": {"is_decoder": True},
    "reformer": {
        "axial_pos_shape": (8, 16),
        "axial_pos_embds_dim": (16, 16),
        "is_decoder": True,
        "attn_layers": ["local", "local"],
    },
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 16},
    "cpmant": {"prompt_length": 4, "position_bias_max_distance": 64},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1},
    "xmod": {"is_decoder": True, "default_language": "en_XX"},
    "zamba": {"attention_hidden_size": 64, "attention_head_dim": 16, "mamba_dt_rank": 4},
    "zamba2": {
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "kv_channels": 8,
        "hybrid_layer_ids": [1],
        "layers_block_type": ["linear_attention", "hybrid"],
        "num_hidden_layers": 2,
    },
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
    "gemma3n_text": {"num_kv_shared_layers": 0, "activation_sparsity_pattern": [0.0] * 3},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "cohere_compass_text": {
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0}
            for kind in ("full_attention", "sliding_attention")
        }
    },
    "bamba": {"attn_layer_indices": [1], "mamba_n_heads": 4, "mamba_d_head": 16},
    "falcon_h1": {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8},
    "recurrent_gemma": {"num_hidden_layers": 3},
}
_UNSAID = {
    "head_dim": 8,
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": 8,
    "indexer_compress_ratio": 2,
    "moe_intermediate_size": 16,
}
_DECODERS = [
    "bert-generation",
    "big_bird",
    "camembert",
    "data2vec-text",
    "electra",
    "ernie",
    "megatron-bert",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "roc_bert",
    "roformer",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
]
# Windows: shorter than what the judge writes, so that they are crossed.
_WINDOW_NAMES = [
    "sliding_window",
    "window_size",
    "attention_chunk_size",
    "local_attention",
    "attention_window_size",
    "sliding_window_size",
]


def causal_types() -> list[str]:
    """Returns every type that `AutoModelForCausalLM` builds."""
    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_config(model_type: str, **changes: Any) -> PretrainedConfig:
    """Makes a configuration of a type with two to four layers of width 32 and 96 tokens.

    Args:
        model_type: One of `causal_types`.
        changes: Values that differ from the type's defaults.
    """
    kind = CONFIG_MAPPING[model_type]
    own = dict(_OWN.get(model_type, {}))
    if model_type in _DECODERS:
        own["is_decoder"] = True
    values = _shrunk(kind())
    # What a checkpoint always says, and the defaults leave open.
    unsaid = {n: v for n, v in _UNSAID.items() if getattr(kind, n, 0) is None and n not in values}
    config: PretrainedConfig = kind(**{**values, **unsaid, **own, **changes})
    return config


def tiny_model(config: PretrainedConfig, seed: int = 0) -> PreTrainedModel:
    """Makes a model with weights so wide that a wrong mask or position shows in the results."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call] # has no types
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() >= 2 and "A_log" not in name:
                    fan_in = parameter.shape[-1]
                    parameter.normal_(0.0, 1.5 / math.sqrt(min(fan_in, 64)))
    model.tie_weights()
    return model.eval()  # type: ignore[no-any-return, no-untyped-call] # has no types


def _shrunk(config: PretrainedConfig) -> dict[str, Any]:
    """Returns the arguments of a configuration with its numbers made small."""
    values: dict[str, Any] = {}
    fields = set(config.to_dict()) | set(getattr(type(config), "attribute_map", {}).values())
    fields = {n for n in fields if not isinstance(getattr(type(config), n, None), property)}
    n_layers = _layers(config)
    for name in sorted(fields):
        value = vars(config).get(name)
        if isinstance(value, PretrainedConfig):
            values[name] = _shrunk(value)
        elif isinstance(value, bool) or name.startswith("_"):
            continue
        elif name in _WINDOW_NAMES and value:
            values[name] = 16
        elif name in ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_blocks"):
            values[name] = n_layers
        elif name in _SIZE and isinstance(value, int) and value > 0:
            # One key head for all heads, or as many as heads, stays so.
            heads = vars(config).get("num_attention_heads")
            equal = name in ("num_key_value_heads", "num_kv_heads") and value in (1, heads)
            values[name] = (1 if value == 1 else 4) if equal else min(_SIZE[name], max(value, 1))
        elif name.endswith(("token_id", "token_index")) and isinstance(value, int):
            values[name] = min(value, {"pad_token_id": 0, "bos_token_id": 1}.get(name, 2))
        elif name.endswith("_ids") and isinstance(value, list):
            values[name] = [i for i in value if isinstance(i, int) and i < n_layers]
        elif isinstance(value, list | tuple) and len(value) == _depth(config) and _depth(config):
            values[name] = _few(list(value), n_layers)
    return values


def _depth(config: PretrainedConfig) -> int:
    return int(vars(config).get("num_hidden_layers") or 0)


def _layers(config: PretrainedConfig) -> int:
    """Returns two layers, or as many as show every kind, at most four."""
    kinds = getattr(config, "layer_types", None) or getattr(config, "layers_block_type", None)
    return max(2, min(4, len(set(kinds)) + 1)) if kinds else 2


def _few(values: list[Any], n: int) -> list[Any]:
    """Returns n values with as many different ones among them as fit."""
    if not all(isinstance(v, str | int | float | bool) for v in values):
        return values[:n]
    kinds = list(dict.fromkeys(values))
    return (kinds + [kinds[-1]] * n)[:n] if len(kinds) <= n else kinds[:n]
