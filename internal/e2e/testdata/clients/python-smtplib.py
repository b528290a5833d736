import smtplib
import ssl
import sys

host, port, kind, mechanism, user, password, file = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if kind == "implicit":
    s = smtplib.SMTP_SSL(host, int(port), context=context)
else:
    s = smtplib.SMTP(host, int(port))
    s.starttls(context=context)
with s:
    s.ehlo()
    s.user, s.password = user, password
    s.auth(mechanism, {"PLAIN": s.auth_plain, "LOGIN": s.auth_login}[mechanism])
    s.sendmail("sender@example.org", ["rcpt@example.test"], open(file, "rb").read())
