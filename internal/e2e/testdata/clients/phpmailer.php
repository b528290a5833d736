<?php
require 'libphp-phpmailer/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

[, $host, $port, $kind, $mechanism, $user, $password, $mark] = $argv;
$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->Host = $host;
$mail->Port = (int) $port;
$mail->SMTPSecure = $kind === 'implicit' ? PHPMailer::ENCRYPTION_SMTPS : PHPMailer::ENCRYPTION_STARTTLS;
$mail->SMTPOptions = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false, 'allow_self_signed' => true]];
$mail->SMTPAuth = true;
$mail->AuthType = $mechanism;
$mail->Username = $user;
$mail->Password = $password;
$mail->setFrom('sender@example.org');
$mail->addAddress('rcpt@example.test');
$mail->Subject = $mark;
$mail->Body = ".a line\n";
$mail->send();
