// Names the addon for pkg-prebuilds: its loader (src/addon.ts), its verifier (npm's install script) and its packer (prepack).
module.exports = { name: "hopsack", napi_versions: [8] };
