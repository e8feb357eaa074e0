// Certificates for tests, made by openssl: an authority that signs them, and another one that does not.
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";

/**
 * Paths of NAME.pem and NAME.key: ca, other-ca, server (for `serverNames`), elsewhere (for another name), client.
 * @param serverNames in the words of openssl's subjectAltName
 */
export function certificates(serverNames = "IP:127.0.0.1"): (name: string) => string {
  const folder = mkdtempSync("/run/certs-");
  const path = (name: string) => `${folder}/${name}`;
  const openssl = (args: string) => execFileSync("openssl", args.split(" "), { cwd: folder, stdio: "pipe" });
  for (const authority of ["ca", "other-ca"]) {
    openssl(
      `req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=${authority} -keyout ${authority}.key -out ${authority}.pem`,
    );
  }
  const names = { server: serverNames, elsewhere: "DNS:etcd.example", client: "DNS:client.example" };
  for (const [name, alternative] of Object.entries(names)) {
    writeFileSync(path(`${name}.ext`), `subjectAltName=${alternative}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    openssl(`req -newkey rsa:2048 -nodes -subj /O=hopsack -keyout ${name}.key -out ${name}.csr`);
    openssl(
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ${name}.ext -out ${name}.pem`,
    );
  }
  return path;
}
