/** One part waits for what another rings. Wait in a loop that looks at the condition. */
export class Bell {
  ring: () => void = () => {};
  heard(): Promise<void> {
    return new Promise((resolve) => { this.ring = resolve; });
  }
}
