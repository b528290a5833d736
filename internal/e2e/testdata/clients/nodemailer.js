const fs = require("fs");
const nodemailer = require("nodemailer");

const [host, port, kind, mechanism, user, pass, file] = process.argv.slice(2);
nodemailer
  .createTransport({
    host,
    port: Number(port),
    secure: kind === "implicit",
    requireTLS: kind === "starttls",
    tls: { rejectUnauthorized: false },
    auth: { user, pass },
    authMethod: mechanism,
  })
  .sendMail({
    envelope: { from: "sender@example.org", to: ["rcpt@example.test"] },
    raw: fs.readFileSync(file),
  })
  .catch((err) => {
    console.error(err);
    process.exit(1);
  });
