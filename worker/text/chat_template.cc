#include "worker/text/generation_marks.h"
#include "worker/text/rust_result.h"
#include "worker/text/text.h"

namespace attune::text {
namespace {

Result<void*> NewTemplate(std::string_view source, std::string_view bos_token,
                          std::string_view eos_token) {
  void* handle = nullptr;
  OwnedBytes error;
  int32_t code =
      attune_template_new(Bytes(source), source.size(), Bytes(bos_token), bos_token.size(),
                          Bytes(eos_token), eos_token.size(), &handle, error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return handle;
}

Result<std::string> RenderTemplate(const void* handle, std::string_view messages_json,
                                   bool add_generation_prompt, std::string_view tools_json) {
  OwnedBytes text, error;
  int32_t code =
      attune_template_render(handle, Bytes(messages_json), messages_json.size(), Bytes(tools_json),
                             tools_json.size(), add_generation_prompt, text.out(), error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return text.ToString();
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::Parse(std::string_view source,
                                                                std::string_view bos_token,
                                                                std::string_view eos_token) {
  ATTUNE_ASSIGN_OR_RETURN(void* handle, NewTemplate(source, bos_token, eos_token));
  std::shared_ptr<ChatTemplate> made(new ChatTemplate(handle));
  const std::string marked = WithGenerationMarks(source);
  if (marked != source) {
    ATTUNE_ASSIGN_OR_RETURN(made->marked_, NewTemplate(marked, bos_token, eos_token));
  }
  return std::shared_ptr<const ChatTemplate>(std::move(made));
}

ChatTemplate::~ChatTemplate() {
  attune_template_free(handle_);
  if (marked_ != nullptr) attune_template_free(marked_);
}

Result<std::string> ChatTemplate::Render(std::string_view messages_json, bool add_generation_prompt,
                                         std::string_view tools_json) const {
  return RenderTemplate(handle_, messages_json, add_generation_prompt, tools_json);
}

Result<MarkedText> ChatTemplate::RenderMarked(std::string_view messages_json,
                                              std::string_view tools_json) const {
  ATTUNE_ASSIGN_OR_RETURN(std::string plain,
                          RenderTemplate(handle_, messages_json, false, tools_json));
  if (marked_ == nullptr) return MarkedText{std::move(plain), {}};
  ATTUNE_ASSIGN_OR_RETURN(const std::string marked,
                          RenderTemplate(marked_, messages_json, false, tools_json));
  return TakeMarksOut(marked, plain);
}

}  // namespace attune::text
