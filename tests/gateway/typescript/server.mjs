// Every kind of tool, resource and prompt, of the official TypeScript SDK: `node server.mjs [stdio | http PORT]`.
import { McpServer, ResourceTemplate } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";
import http from "node:http";
import { randomUUID } from "node:crypto";
function make() {
  const s = new McpServer({ name: "ts", version: "1" });
  s.registerTool("add", { description: "Add", inputSchema: { a: z.number(), b: z.number() } }, async ({ a, b }) => ({ content: [{ type: "text", text: String(a + b) }] }));
  s.registerTool("fail", { inputSchema: { why: z.string() } }, async ({ why }) => { throw new Error(why); });
  s.registerTool("wait", { inputSchema: { n: z.number() } }, async ({ n }, extra) => {
    for (let i = 0; i < n; i++) {
      if (extra._meta?.progressToken !== undefined) await extra.sendNotification({ method: "notifications/progress", params: { progressToken: extra._meta.progressToken, progress: i, total: n } });
      await new Promise(r => setTimeout(r, 30));
    }
    return { content: [{ type: "text", text: "waited" }] };
  });
  s.registerTool("ask", { inputSchema: {} }, async () => {
    const a = await s.server.elicitInput({ message: "who?", requestedSchema: { type: "object", properties: { name: { type: "string" } } } });
    return { content: [{ type: "text", text: `it is ${a.content?.name}` }] };
  });
  s.registerResource("stock", new ResourceTemplate("shop://stock/{item}", { list: undefined }), {}, async (uri, { item }) => ({ contents: [{ uri: uri.href, text: `${item}: 3` }] }));
  s.registerPrompt("greeting", { argsSchema: { name: z.string() } }, ({ name }) => ({ messages: [{ role: "user", content: { type: "text", text: `Greet ${name}.` } }] }));
  return s;
}
if (process.argv[2] === "http") {
  const sessions = {};
  http.createServer(async (req, res) => {
    const id = req.headers["mcp-session-id"];
    let t = sessions[id];
    if (!t) {
      t = new StreamableHTTPServerTransport({ sessionIdGenerator: () => randomUUID(), onsessioninitialized: s => { sessions[s] = t; } });
      await make().connect(t);
    }
    await t.handleRequest(req, res);
  }).listen(Number(process.argv[3]), "127.0.0.1");
} else await make().connect(new StdioServerTransport());
