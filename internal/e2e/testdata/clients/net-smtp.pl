use strict;
use warnings;
use Authen::SASL;
use Net::SMTP;

my ($host, $port, $kind, $mechanism, $user, $password, $file) = @ARGV;
my %tls = (SSL_verify_mode => 0);
my $smtp = Net::SMTP->new($host, Port => $port, SSL => $kind eq 'implicit', %tls) or die "connecting: $@";
if ($kind eq 'starttls') {
    $smtp->starttls(%tls) or die 'STARTTLS: ', $smtp->message;
}
my $sasl = Authen::SASL->new(
    mechanism => $mechanism,
    callback  => { user => $user, pass => $password, authname => '' },
);
$smtp->auth($sasl) or die 'AUTH: ', $smtp->message;
$smtp->mail('sender@example.org') or die 'MAIL: ', $smtp->message;
$smtp->to('rcpt@example.test') or die 'RCPT: ', $smtp->message;
open my $message, '<', $file or die "$file: $!";
$smtp->data(<$message>) or die 'DATA: ', $smtp->message;
$smtp->quit or die 'QUIT: ', $smtp->message;
