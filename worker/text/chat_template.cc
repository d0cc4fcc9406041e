#include "worker/text/rust_result.h"
#include "worker/text/text.h"

namespace attune::text {

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::Parse(std::string_view source,
                                                                std::string_view bos_token,
                                                                std::string_view eos_token) {
  void* handle = nullptr;
  OwnedBytes error;
  int32_t code =
      attune_template_new(Bytes(source), source.size(), Bytes(bos_token), bos_token.size(),
                          Bytes(eos_token), eos_token.size(), &handle, error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return std::shared_ptr<const ChatTemplate>(new ChatTemplate(handle));
}

ChatTemplate::~ChatTemplate() {
  attune_template_free(handle_);
}

Result<std::string> ChatTemplate::Render(std::string_view messages_json, bool add_generation_prompt,
                                         std::string_view tools_json) const {
  OwnedBytes text, error;
  int32_t code =
      attune_template_render(handle_, Bytes(messages_json), messages_json.size(), Bytes(tools_json),
                             tools_json.size(), add_generation_prompt, text.out(), error.out());
  ATTUNE_RETURN_IF_ERROR(ToStatus(code, error));
  return text.ToString();
}

}  // namespace attune::text
