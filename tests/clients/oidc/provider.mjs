// An OpenID provider on a free port of 127.0.0.1: it writes its URL, and serves until it is ended.
// Its login form takes any name and password; redirections go to any port of 127.0.0.1.

import http from "node:http";
import Provider from "oidc-provider";

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "kobako",
        client_secret: "between the two of us, and nobody else",
        redirect_uris: ["http://127.0.0.1/v1/openid/idp/token"],
        token_endpoint_auth_method: "client_secret_post",
      },
    ],
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    cookies: { keys: ["a secret of this test"] },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
    }),
  });
  provider.Client.prototype.redirectUriAllowed = (uri) => new URL(uri).hostname === "127.0.0.1";
  server.on("request", provider.callback());
  console.log(issuer);
});
