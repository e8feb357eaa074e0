// Arguments of the classes behind src/dataplane, which has checked them: what does not fit is our own bug.
#pragma once

#include <arpa/inet.h>
#include <napi.h>

#include <string>

#include "wire/bytes.h"

namespace hopsack {

inline Napi::Error BadArgument(Napi::Env env, const std::string& what) {
  return Napi::TypeError::New(env, what);
}

inline ConstBytes ViewBytes(const Napi::Value& value) {
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ElementLength()};
}

/** `bindAddress` and `bindPort`. */
inline sockaddr_in ParseLocal(Napi::Object options) {
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_port = htons(static_cast<uint16_t>(options.Get("bindPort").As<Napi::Number>().Uint32Value()));
  const std::string address = options.Get("bindAddress").As<Napi::String>();
  if (inet_pton(AF_INET, address.c_str(), &local.sin_addr) != 1) {
    throw BadArgument(options.Env(), "bindAddress is no IPv4 address: " + address);
  }
  return local;
}

}  // namespace hopsack
