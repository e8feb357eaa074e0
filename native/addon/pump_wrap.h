// JavaScript's view of pump/pump.h; declared for TypeScript in src/addon.ts.
#pragma once

#include <napi.h>

namespace hopsack {

void InitPump(Napi::Env env, Napi::Object exports);

}  // namespace hopsack
