// Sends to a socket that this user may not open.
import { send } from "boris-ingestd-client";

let retries = 0;
try {
  await send(["{}"], { path: process.argv[2], onRetry: () => { retries++; } });
} catch (error) {
  console.log(error.code, error.cause.code, error.settled, retries, !error.message.includes("\n"));
}
