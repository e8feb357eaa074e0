// JavaScript's view of io/netlink_socket.h, and the file lock; declared for TypeScript in src/addon.ts.
#pragma once

#include <napi.h>

namespace hopsack {

void InitNetlink(Napi::Env env, Napi::Object exports);

}  // namespace hopsack
