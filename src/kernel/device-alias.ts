// How devices that we make are known, whatever their names: by their alias, which `ip link` shows. Pure.

/** @param instance what tells the hopsackds of one host apart: the name given by --device */
export function deviceAlias(instance: string): string {
  return `hopsack ${instance}`;
}
