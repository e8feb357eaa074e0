// JavaScript's view of bpf/accelerator.h; declared for TypeScript in src/addon.ts.
#pragma once

#include <napi.h>

namespace hopsack {

void InitAccelerator(Napi::Env env, Napi::Object exports);

}  // namespace hopsack
