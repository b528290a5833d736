package bounce

import "github.com/postrider/postrider/internal/mail"

// advice says what a sender can do about a failure. Who was put off until time ran
// out reads what the last answer is worth: there is somebody at the other side.
func (r *Recipient) advice() string {
	status := r.status(Failed)
	if status != expired || r.Reply.Code == 0 {
		return advice(status)
	}
	if text, ok := advices[[2]int{r.Reply.Enhanced[1], r.Reply.Enhanced[2]}]; ok {
		return text
	}
	return "The other side put the message off each time it was tried. Send it again later, or reach the person by other means."
}

// advice says what a sender can do about a failure with that status (RFC 3463
// section 3), in words that need no knowledge of mail.
func advice(status mail.EnhancedCode) string {
	if text, ok := advices[[2]int{status[1], status[2]}]; ok {
		return text
	}
	if text, ok := subjects[status[1]]; ok {
		return text
	}
	return "If the text above does not explain it, ask the person you are writing to by other means, " +
		"or your mail administrator."
}

// noTLS is for mail submitted with REQUIRETLS (RFC 8689).
const noTLS = "You asked that the message travel encrypted all the way, which this way can't promise. Send it without that, or reach the person by other means."

// advices are for a subject and a detail, subjects for all other details.
var (
	advices = map[[2]int]string{
		{1, 2}:  "Check the part of the address behind the @ for mistakes: there is no such mail domain.",
		{1, 6}:  "The person has moved. Ask for the new address; the answer above may name it.",
		{1, 8}:  "The other side does not accept your own address as a sender. Check your address in your mail program.",
		{1, 10}: "Check the part of the address behind the @ for mistakes: that domain receives no mail at all.",
		{2, 1}:  "The mailbox exists but is switched off. Reach the person by other means.",
		{2, 2}:  "The mailbox is full. Try again in a few days, or reach the person by other means.",
		{2, 3}:  "Your message is too large for this mailbox. Send a smaller one, for example with a link in place of the attachment.",
		{3, 4}:  "Your message is too large for the other side. Send a smaller one, for example with a link in place of the attachment.",
		{4, 6}:  "The other side's mail is set up in a circle. Only its administrator can repair that.",
		{7, 10}: noTLS,
		{7, 30}: noTLS,
		{4, 7}:  "The other side may be out of order, or the part of the address behind the @ may be wrong. Check it, and send the message again later.",
	}
	subjects = map[int]string{
		1: "Check the address for mistakes and send the message again. If it is right, ask the person you are writing to by other means.",
		2: "There is a problem with this mailbox. Reach the person by other means.",
		3: "There is a problem with the other side's mail system. Try again later, or reach the person by other means.",
		4: "The other side's mail system could not be reached. Check the part of the address behind the @, and try again later.",
		6: "The other side can't take a message in this form. Send it again as plain text, or without attachments.",
		7: "The other side does not accept this message from you. Its answer above may say why; your mail administrator can help.",
	}
)
