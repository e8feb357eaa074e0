// A TCP relay on loopback whose connections a test can cut, refuse or swallow: what a network does to an etcd client.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

type Mood = "forward" | "refuse" | "swallow";

export class Relay {
  readonly #server: Server;
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  #mood: Mood = "forward";

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Listens on a port of its own, in front of `target` (`http://127.0.0.1:2379`). */
  static async start(target: string): Promise<Relay> {
    const relay = new Relay(target);
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get url(): string {
    const address = this.#server.address() as AddressInfo;
    return `${this.#target.protocol}//127.0.0.1:${address.port}`;
  }

  /** Ends every connection and refuses new ones. */
  cut(): void {
    this.#mood = "refuse";
    for (const socket of this.#sockets) socket.destroy();
  }

  /** From now on nothing comes through, in either direction, and nobody is told. */
  swallow(): void {
    this.#mood = "swallow";
    for (const socket of this.#sockets) socket.pause().unpipe();
  }

  /** Connections that were swallowed stay dead. */
  heal(): void {
    this.#mood = "forward";
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #accept(near: Socket): void {
    if (this.#mood === "refuse") {
      near.destroy();
      return;
    }
    this.#track(near);
    if (this.#mood === "swallow") return;
    const far = connect(Number(this.#target.port), this.#target.hostname);
    this.#track(far);
    near.pipe(far).pipe(near);
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
