// BERT: layers that see the whole example and normalise behind each half, learned positions and
// token types. BertModel is the encoder alone (sentence-transformers), BertForMaskedLM has the head
// of its pretraining.

#include "common/model/families/families.h"

namespace attune {
namespace {

ModelNames Names(const std::string& prefix) {
  ModelNames names;
  names.embedding = prefix + "embeddings.word_embeddings";
  names.positions = prefix + "embeddings.position_embeddings";
  names.token_types = prefix + "embeddings.token_type_embeddings";
  names.embedding_norm = prefix + "embeddings.LayerNorm";
  names.layer = prefix + "encoder.layer.";
  names.qkv = {"attention.self.query", "attention.self.key", "attention.self.value"};
  names.attention_out = "attention.output.dense";
  names.attention_norm = "attention.output.LayerNorm";
  names.mlp_in = {"intermediate.dense"};
  names.mlp_out = "output.dense";
  names.mlp_norm = "output.LayerNorm";
  return names;
}

Status Describe(FieldReader& fields, const std::string& prefix, ModelConfig* config) {
  config->names = Names(prefix);
  config->vocabulary_size = 30522;
  config->hidden_size = 768;
  config->intermediate_size = 3072;
  config->layers = config->heads = 12;
  config->max_positions = 512;
  config->token_types = 2;
  config->causal = false;
  config->post_norm = true;
  config->norm = NormKind::kLayer;
  config->norm_eps = 1e-12;
  config->tied_embeddings = true;
  config->gated = false;
  config->qkv_bias = config->attention_out_bias = config->mlp_bias = true;
  fields.Integer("vocab_size", config->vocabulary_size, 2, 1 << 24);
  fields.Integer("hidden_size", config->hidden_size, 1, 1 << 18);
  fields.Integer("intermediate_size", config->intermediate_size, 1, 1 << 20);
  fields.Integer("num_hidden_layers", config->layers, 1, 4096);
  fields.Integer("num_attention_heads", config->heads, 1, 1 << 14);
  fields.Integer("max_position_embeddings", config->max_positions, 1, 1 << 24);
  fields.Integer("type_vocab_size", config->token_types, 1, 1 << 16);
  fields.Number("layer_norm_eps", config->norm_eps);
  ReadActivation(fields, "hidden_act", "gelu", config);
  SetEqualHeads(fields, "num_attention_heads", "hidden_size", config);
  bool decoder = false, cross = false;
  fields.Flag("is_decoder", decoder);
  fields.Flag("add_cross_attention", cross);
  if (decoder) fields.Fail("is_decoder", "is not supported");
  if (cross) fields.Fail("add_cross_attention", "is not supported");
  std::string positions = "absolute";
  fields.Text("position_embedding_type", positions);
  if (positions != "absolute") {
    fields.Fail("position_embedding_type", "is not supported; supported: absolute");
  }
  config->padding_token = ReadPaddingToken(fields, 0);
  return fields.status();
}

Status DescribeEncoder(FieldReader& fields, ModelConfig* config) {
  config->head = HeadKind::kNone;
  ATTUNE_RETURN_IF_ERROR(Describe(fields, "", config));
  config->names.pooler = "pooler.dense";
  return Status();
}

Status DescribeMasked(FieldReader& fields, ModelConfig* config) {
  config->head = HeadKind::kMaskedToken;
  ATTUNE_RETURN_IF_ERROR(Describe(fields, "bert.", config));
  config->names.transform = "cls.predictions.transform.dense";
  config->names.transform_norm = "cls.predictions.transform.LayerNorm";
  config->names.head = "cls.predictions.decoder";
  config->names.head_bias = "cls.predictions.bias";
  config->names.ignored = {"bert.pooler.",
                           "cls.seq_relationship."};  // of the pretraining's other task
  bool tied = true;
  fields.Flag("tie_word_embeddings", tied);
  if (!tied) fields.Fail("tie_word_embeddings", "must be true");
  return fields.status();
}

// A layer on the pooled first row.
Status DescribeClassifier(FieldReader& fields, ModelConfig* config) {
  config->head = HeadKind::kLabels;
  ATTUNE_RETURN_IF_ERROR(Describe(fields, "bert.", config));
  config->tied_embeddings = false;
  config->names.pooler = "bert.pooler.dense";
  config->names.head = "classifier";
  config->names.head_bias = "classifier.bias";
  config->names.ignored = {"cls."};  // of what it was made of
  return Status();
}

const Family kFamilies[] = {{"bert", "BertModel", DescribeEncoder},
                            {"bert", "BertForMaskedLM", DescribeMasked},
                            {"bert", "BertForSequenceClassification", DescribeClassifier}};

}  // namespace

std::span<const Family> BertFamilies() {
  return kFamilies;
}

}  // namespace attune
