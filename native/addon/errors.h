// SystemError → JavaScript Error with `code` (errno name) and `syscall`, as Node.js's own system errors have them.
#pragma once

#include <napi.h>
#include <string.h>

#include "io/system_error.h"

namespace hopsack {

inline Napi::Error ToJavaScript(Napi::Env env, const SystemError& error) {
  const char* name = strerrorname_np(error.error());
  const std::string code = name == nullptr ? "EUNKNOWN" : name;
  Napi::Error result = Napi::Error::New(env, code + ": " + strerrordesc_np(error.error()) + ", " + error.syscall());
  result.Set("code", Napi::String::New(env, code));
  result.Set("syscall", Napi::String::New(env, error.syscall()));
  return result;
}

}  // namespace hopsack
