// Speaks to `gov mcp` with the official client. Takes the command and its arguments; reads one JSON request per line,
// answers each with one line: {"list": true}, {"call": NAME, "arguments": {…}}, {"together": [calls]},
// {"cancel": call, "after_ms": N}, {"raw": TEXT} (a line the client itself would never send).
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, ...args] = process.argv.slice(2);
const transport = new StdioClientTransport({ command, args, env: process.env, stderr: "inherit" });
const client = new Client({ name: "tests", version: "1" });
await client.connect(transport);

const said = (error) => ({ error: { code: error.code, message: error.message } });
const call = (asked, options) =>
  client.callTool({ name: asked.call, arguments: asked.arguments }, undefined, options).catch(said);

async function answer(asked) {
  if (asked.list) {
    return await client.listTools();
  }
  if (asked.together) {
    return await Promise.all(asked.together.map((one) => call(one)));
  }
  if (asked.cancel) {
    const controller = new AbortController();
    setTimeout(() => controller.abort("not wanted any more"), asked.after_ms);
    return await call(asked.cancel, { signal: controller.signal });
  }
  if (asked.raw !== undefined) {
    transport._process.stdin.write(asked.raw + "\n");
    return {};
  }
  return await call(asked);
}

for await (const line of createInterface({ input: process.stdin })) {
  const found = await answer(JSON.parse(line)).catch(said);
  process.stdout.write(JSON.stringify(found) + "\n");
}
await client.close();
