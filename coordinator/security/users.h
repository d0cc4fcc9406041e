#pragma once

// Who may call the coordinator and what each may do. Decided once, from the configuration; pure.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace attune::security {

// The roles that a configuration may give. Everyone who gets in has kUser: all that is not named
// here. kPromoter: move, roll back and delete aliases, and remove files of versions.
inline constexpr char kUser[] = "user";
inline constexpr char kPromoter[] = "promoter";

// The name of whoever shows the shared token (token_file), or of everyone where no token is needed.
inline constexpr char kSharedUser[] = "user";

struct User {
  std::string name;
  std::string token;  // empty: everyone is this user
  std::set<std::string> roles;
};

// Who a call is from.
struct Caller {
  std::string name;
  std::set<std::string> roles;

  bool Has(std::string_view role) const { return roles.count(std::string(role)) > 0; }
  // How histories name a person.
  std::string actor() const { return "user:" + name; }
};

// The named users and the holder of the shared token; without any of them everyone is kSharedUser.
// The shared token has every role until a named user is a promoter: then only those who are named
// may promote, as nobody knows who shows a token that many have. kInvalidArgument: a name that is
// bad or there twice, an unknown role, a token that two users have.
Result<std::vector<User>> MakeUsers(const std::string& shared_token, std::vector<User> named);

// The user with the token; null when there is none. Takes the same time wherever it is found.
const User* FindUser(const std::vector<User>& users, std::string_view token);

// OK, or kPermissionDenied with who may.
Status CheckRole(const std::vector<User>& users, const Caller& caller, std::string_view role);

}  // namespace attune::security
